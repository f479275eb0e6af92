// Package view holds the views of one upload: what undoes a likely edit, so that an edited copy of a listed picture has
// the hash of the picture.
//
//	picture -> plane, at most 512 x 512 -> parts: the whole, without borders, between bars, panels
//	                                          └-> views of each: as it is, uncropped, turned back -> PDQ and its turns
//
// Hasher implements hashmatch.Viewer. What can be seen (borders, bars, panels, the flat corners of a picture that was
// turned in a frame that grew) is looked for, and costs nothing where it is not there; what cannot (how much was cut off,
// by how much a picture was turned in its frame) is tried, in steps that PDQ bridges.
//
// All hashes are taken of one plane of the upload that is at most 512 samples a side, whatever the upload's size. They are
// those of the views as defined here, not of an exactly restored original.
package view
