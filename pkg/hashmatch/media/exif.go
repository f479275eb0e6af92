package media

import (
	"bytes"
	"encoding/binary"
)

// exifPrefix starts EXIF data in a JPEG's APP1 segment, and in some PNG and WebP files that should not have it.
var exifPrefix = []byte("Exif\x00\x00")

// orientationTag is TIFF's and EXIF's tag of the orientation.
const orientationTag = 0x0112

// exifOrientation returns the orientation that EXIF data states in its first directory: 1 to 8, and 1 where it is
// missing, damaged or out of range. It follows no pointer but the one to that directory, so nothing can loop.
func exifOrientation(exif []byte) int {
	exif = bytes.TrimPrefix(exif, exifPrefix)
	order, ok := tiffOrder(exif)
	if !ok {
		return 1
	}
	fields, _ := tiffDirectory(exif, order, order.Uint32(exif[4:]))
	return fields.orientation
}

// tiffOrder returns the byte order of TIFF data, false if it has no classic TIFF header of 8 bytes.
func tiffOrder(data []byte) (binary.ByteOrder, bool) {
	if len(data) >= 8 {
		switch string(data[:4]) {
		case "II*\x00":
			return binary.LittleEndian, true
		case "MM\x00*":
			return binary.BigEndian, true
		}
	}
	return nil, false
}

// tiffFields is what a directory says of its picture.
type tiffFields struct {
	width, height uint32
	orientation   int // 1 if not stated
}

// tiffDirectory reads the directory at an offset, and the offset of the next one: 0 if there is none or data ends.
func tiffDirectory(data []byte, order binary.ByteOrder, at uint32) (fields tiffFields, next uint32) {
	fields.orientation = 1
	if at < 8 || int64(at)+2 > int64(len(data)) {
		return fields, 0
	}
	data = data[at:]
	count := int(order.Uint16(data))
	data = data[2:]
	for range count {
		if len(data) < 12 {
			return fields, 0
		}
		entry := data[:12]
		data = data[12:]
		var value uint32
		switch order.Uint16(entry[2:]) {
		case 3: // SHORT
			value = uint32(order.Uint16(entry[8:]))
		case 4: // LONG
			value = order.Uint32(entry[8:])
		default:
			continue
		}
		switch order.Uint16(entry) {
		case 0x0100:
			fields.width = value
		case 0x0101:
			fields.height = value
		case orientationTag:
			if value >= 1 && value <= 8 {
				fields.orientation = int(value)
			}
		}
	}
	if len(data) >= 4 {
		next = order.Uint32(data)
	}
	return fields, next
}
