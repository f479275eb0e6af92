// Package hashmatch holds the words of matching uploads against industry hash lists, and the way an upload takes
// through them: Scanner.Scan reads it, decodes it, hashes it, searches the lists and decides.
//
// The words are Hash and Kind, Entry, Match, Failure, Verdict, Surface and Item. The stages are interfaces that this
// package calls; the packages below it implement them and know nothing of each other:
//
//	read ----> decode ----> hash -------> match ----> decide
//	digest     media        pdq           lookup      policy
//	           worker       imagehash     index
//	                                      hashlist
//
// What it promises: an upload is read only on a surface that was declared public and unencrypted; everything that
// could not be read, decoded, hashed or searched is a Failure in the verdict, and silence of the policy means hold;
// the zero value of every word is the cautious one.
package hashmatch
