package main

import (
	"encoding/binary"
	"image"
)

// riffChunk returns a chunk of a WebP file, padded to an even length.
func riffChunk(name string, content ...byte) []byte {
	out := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(content)))
	out = append(out, content...)
	if len(content)%2 == 1 {
		out = append(out, 0)
	}
	return out
}

// riff returns a WebP file of the given chunks.
func riff(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), concat(chunks...)...)
	return riffChunk("RIFF", body...)
}

// The flags of a VP8X chunk.
const (
	webpAnimation = 0x02
	webpEXIF      = 0x08
)

func vp8x(flags byte, width, height int) []byte {
	content := []byte{flags, 0, 0, 0}
	return riffChunk("VP8X", append(append(content, uint24(width-1)...), uint24(height-1)...)...)
}

func uint24(v int) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16)} }

// picture returns the chunks of a simple WebP file, without its container.
func picture(file []byte) []byte { return file[12:] }

// orientedWebP adds an EXIF orientation to a simple WebP file.
func orientedWebP(file []byte, size image.Rectangle, orientation int) []byte {
	return riff(vp8x(webpEXIF, size.Dx(), size.Dy()), picture(file), riffChunk("EXIF", exif(orientation)...))
}

// animatedWebP returns an animation of simple WebP files of one size, each shown for 200 ms in place of the one before.
func animatedWebP(files [][]byte, size image.Rectangle) []byte {
	chunks := [][]byte{vp8x(webpAnimation, size.Dx(), size.Dy()), riffChunk("ANIM", 255, 255, 255, 255, 0, 0)}
	for _, file := range files {
		const replace = 0x02 // do not blend with the frame before
		frame := concat(uint24(0), uint24(0), uint24(size.Dx()-1), uint24(size.Dy()-1), uint24(200), []byte{replace}, picture(file))
		chunks = append(chunks, riffChunk("ANMF", frame...))
	}
	return riff(chunks...)
}
