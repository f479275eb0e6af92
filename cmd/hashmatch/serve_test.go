package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// postUpload sends a file to a service on a unix socket, or gets a path where the file is "-". It waits for the service to come, and
// prints the status and the answer. post SOCKET PATH FILE [HEADER: VALUE]...
func postUpload(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: post SOCKET PATH FILE [HEADER:VALUE]...")
	}
	socket := ts.MkAbs(args[0])
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	method, content := http.MethodGet, []byte(nil)
	if args[2] != "-" {
		var err error
		content, err = os.ReadFile(ts.MkAbs(args[2]))
		ts.Check(err)
		method = http.MethodPost
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		request, err := http.NewRequest(method, "http://service"+args[1], bytes.NewReader(content))
		ts.Check(err)
		for _, header := range args[3:] {
			name, value, _ := strings.Cut(header, ":")
			request.Header.Set(name, value)
		}
		answer, err := client.Do(request)
		if err != nil {
			if time.Now().After(deadline) {
				ts.Fatalf("%v", err)
			}
			continue
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%d %s\n", answer.StatusCode, text)
		return
	}
}
