package icap

import (
	"testing"

	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

func TestSharedForms(t *testing.T) {
	addr, _ := serve(t, hooktest.Words{}, hooktest.Surface(t), nil)
	hooktest.RunForms(t, func(t *testing.T, f hooktest.Form) bool {
		reply := say(t, addr, reqmodOf(closing, postHeader(f.Fields...), f.Body))
		if clean(reply) == blocked(reply) {
			t.Errorf("neither clean nor blocked: %q", reply)
		}
		return clean(reply)
	})
}
