package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Head is a signed statement of how far a log had come. Kept where those who can write to the log cannot, it shows
// whether anything before it was changed or cut off since.
type Head struct {
	Log       string    `json:"log"`
	Seq       uint64    `json:"seq"`
	Hash      string    `json:"hash"` // of the record seq
	Time      time.Time `json:"time"`
	Signature []byte    `json:"signature"` // Ed25519
}

// message returns what is signed.
func (h Head) message() []byte {
	return fmt.Appendf(nil, "hashmatch audit head 1\n%q\n%d\n%q\n%s\n", h.Log, h.Seq, h.Hash, h.Time.UTC().Format(time.RFC3339Nano))
}

// SignedBy says whether the head was signed with the private key of the public key.
func (h Head) SignedBy(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, h.message(), h.Signature)
}

// String returns the head as one line of JSON, without its end.
func (h Head) String() string {
	text, err := json.Marshal(h)
	if err != nil { // a time that no clock shows
		return "{}"
	}
	return string(text)
}

// maxHead is the length of the longest line that a head is read from.
const maxHead = 64 << 10

// ReadHeads returns the heads in a text, one a line, in their order, and the number of lines that hold none. What
// stands before the first "{" of a line is left out: a syslog writes something there.
func ReadHeads(r io.Reader) (heads []Head, others int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxHead)
	for lines.Scan() {
		text := lines.Bytes()
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		h, ok := parseHead(text)
		if !ok {
			others++
			continue
		}
		heads = append(heads, h)
	}
	if err := lines.Err(); err != nil {
		return nil, others, fmt.Errorf("audit: heads: %w", err)
	}
	return heads, others, nil
}

func parseHead(text []byte) (h Head, ok bool) {
	start := bytes.IndexByte(text, '{')
	if start < 0 || json.Unmarshal(bytes.TrimSpace(text[start:]), &h) != nil {
		return h, false
	}
	var hash digest
	return h, h.Log != "" && h.Seq > 0 && parseDigest(&hash, []byte(h.Hash)) && len(h.Signature) == ed25519.SignatureSize
}

// head forces the log to disk and signs a head, if there is anything new. So no head tells of a record that a power cut
// can still take away.
func (l *Log) head() {
	if l.config.Key == nil {
		return
	}
	if err := l.force(); err != nil {
		l.config.Logger.Error("audit: no head: the log cannot be forced to disk", "error", err)
		return
	}
	l.mu.Lock()
	at := l.synced
	l.mu.Unlock()
	l.sign(at)
}

// sign signs a head for a position that is on disk, and hands it to the sinks.
func (l *Log) sign(at position) {
	if l.config.Key == nil {
		return
	}
	l.mu.Lock()
	fresh := at.seq > l.headed
	l.headed = max(l.headed, at.seq)
	l.mu.Unlock()
	if !fresh {
		return
	}
	h := l.signed(at)
	l.config.Logger.Info("audit: head", "head", h.String())
	for _, d := range l.sinks {
		d.put(h)
	}
}

// closeTimeout bounds how long Close tries to send the last heads.
const closeTimeout = 5 * time.Second

// sendLast sends what the sinks have not had, once.
func (l *Log) sendLast() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	done := make(chan struct{})
	var sending sync.WaitGroup
	for _, d := range l.sinks {
		sending.Go(func() { d.drain(ctx) })
	}
	go func() { // a sink may not heed ctx
		sending.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// ErrNoKey is wrapped by the error of Head where nothing can be signed.
var ErrNoKey = errors.New("there is no key to sign heads")

// Head returns the last position of the log that is on disk as a signed head, for whoever wants to keep it.
func (l *Log) Head() (Head, error) {
	if l.config.Key == nil {
		return Head{}, fmt.Errorf("audit: %w", ErrNoKey)
	}
	l.mu.Lock()
	at := l.synced
	l.mu.Unlock()
	return l.signed(at), nil
}

func (l *Log) signed(at position) Head {
	h := Head{Log: l.id, Seq: at.seq, Hash: at.hash.String(), Time: l.config.now().UTC()}
	h.Signature = ed25519.Sign(l.config.Key, h.message())
	return h
}
