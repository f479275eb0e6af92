package pdq

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guardedMemory gives out slices that end where a page ends after which none can be read or written, or that start
// where one starts before which none can: a kernel that touches a byte outside of a slice kills the test.
func guardedMemory(t *testing.T, seed uint64, atStart bool) *memory {
	page := unix.Getpagesize()
	guarded := func(size int) unsafe.Pointer {
		length := (size + page - 1) / page * page
		if length == 0 {
			length = page
		}
		area, err := unix.Mmap(-1, 0, length+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Munmap(area); err != nil {
				t.Error(err)
			}
		})
		for _, guard := range [][]byte{area[:page], area[page+length:]} {
			if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
				t.Fatal(err)
			}
		}
		if atStart || size == 0 {
			return unsafe.Pointer(&area[page])
		}
		return unsafe.Pointer(&area[page+length-size])
	}
	return &memory{
		random: rand.New(rand.NewPCG(seed, 11)),
		floats: func(n int) []float32 { return unsafe.Slice((*float32)(guarded(4*n)), n) },
		bytes:  func(n int) []uint8 { return unsafe.Slice((*uint8)(guarded(n)), n) },
	}
}

func TestKernelsStayInside(t *testing.T) {
	for _, k := range kernels {
		for _, atStart := range []bool{false, true} {
			for seed := range uint64(60) {
				t.Run("", func(t *testing.T) { // frees the memory of each round
					m := guardedMemory(t, seed, atStart)
					testLoops(t, k, m)
					testLuma(t, k, m, m.random.IntN(300)+1, m.random.IntN(6)+1)
				})
			}
		}
	}
}

// A hash of pictures at the edge of memory, and of every size modulo what the kernels do at once.
func TestHashesStayInside(t *testing.T) {
	f := new(blurrer)
	for _, k := range kernels {
		for width := smallest; width < smallest+33; width++ {
			t.Run("", func(t *testing.T) {
				m := guardedMemory(t, uint64(width), width%2 == 0)
				for _, format := range formats {
					testPicture(t, k, f, m, format, width, smallest+m.random.IntN(40))
				}
			})
		}
	}
}
