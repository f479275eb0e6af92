package hook_test

import (
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

func TestAPIForms(t *testing.T) {
	address := strings.TrimPrefix(serve(t, hooktest.Words{}, hooktest.Surface(t), nil), "http://")
	hooktest.RunForms(t, func(t *testing.T, f hooktest.Form) bool {
		status, body := hooktest.Post(t, address, "/v1/scan?surface=uploads", f)
		return allowed(t, status, []byte(body))
	})
}
