package icap

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// TestLastWord has requests that are not answered when the time of a shutdown is over: half a body, half a header, one
// that is still being scanned. Each is blocked before its connection closes.
func TestLastWord(t *testing.T) {
	whole := reqmodOf("Allow: 204\r\n", putHeader, "harmless")
	for name, sent := range map[string]string{
		"half a body": whole[:len(whole)-8], "half a header": whole[:20], "a scan that takes long": whole,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			slow := checkerFunc(func(_ context.Context, u gate.Upload) (gate.Outcome, error) {
				_, err := io.Copy(io.Discard, u.Content)
				<-release
				return gate.Outcome{Action: hashmatch.Allow, Scanned: true}, err
			})
			addr, s := serve(t, slow, hooktest.Surface(t), nil)
			conn := dial(t, addr)
			fmt.Fprint(conn, sent)
			time.Sleep(200 * time.Millisecond) // for the server to read it
			ended := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				ended <- s.Shutdown(ctx)
			}()
			reply, err := io.ReadAll(conn)
			close(release)
			if err != nil || !blocked(string(reply)) || strings.Count(string(reply), "ICAP/1.0") != 1 {
				t.Errorf("%q, %v", reply, err)
			}
			conn.Close()
			<-ended
		})
	}
}
