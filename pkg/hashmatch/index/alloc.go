package index

import "unsafe"

// alloc returns n zero values, on huge pages where the system has them to give. A search reads a few hundred spots all
// over a gigabyte: on pages of 4 KiB nearly each of them costs a walk of the page table as well.
func alloc[T uint64 | uint32 | byte](n int) []T {
	s := make([]T, n)
	const page = 2 << 20
	if size := n * int(unsafe.Sizeof(*new(T))); size >= 2*page {
		b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), size)
		first := -uintptr(unsafe.Pointer(&b[0])) % page // the advice is for whole pages: the rest stays as it is
		last := (uintptr(size) - first) / page * page
		adviseHuge(b[first : first+last])
	}
	return s
}

// adviseImage asks for huge pages under an array of an image, which a system may have for files too.
func adviseImage(b []byte) {
	const page = 4 << 10
	first := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % page
	if uintptr(len(b)) >= first+4<<20 {
		adviseHuge(b[first : first+(uintptr(len(b))-first)/page*page])
	}
}
