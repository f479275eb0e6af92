package icap

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"example.org/hashmatch/pkg/hashmatch/gate"
)

// Clients read these answers by the letter: names in exactly this case, ": ", and Encapsulated last.

// proceed asks for what follows a preview.
const proceed = "ICAP/1.0 100 Continue\r\n\r\n"

// retryAfter is when a client may send an upload again that could not be judged, in seconds.
const retryAfter = 5

// head returns the header of an answer, with its empty line.
func (s *Server) head(status string, close bool, fields ...string) string {
	var text strings.Builder
	text.WriteString("ICAP/1.0 " + status + "\r\nISTag: \"" + s.tag() + "\"\r\n")
	if close {
		text.WriteString("Connection: close\r\n")
	}
	for _, field := range fields {
		text.WriteString(field + "\r\n")
	}
	text.WriteString("\r\n")
	return text.String()
}

// optionsReply says what the server can do. It asks for no preview, since every byte is wanted.
func (s *Server) optionsReply(close bool) string {
	connection := ""
	if close {
		connection = "Connection: close\r\n"
	}
	return "ICAP/1.0 200 OK\r\n" +
		"Methods: RESPMOD, REQMOD\r\n" +
		"Service: hashmatch\r\n" +
		"ISTag: \"" + s.tag() + "\"\r\n" +
		"Allow: 204\r\n" +
		"Transfer-Complete: *\r\n" +
		"Max-Connections: " + strconv.Itoa(s.config.MaxConnections) + "\r\n" +
		"Options-TTL: 3600\r\n" +
		connection +
		"Encapsulated: null-body=0\r\n\r\n"
}

// cleanReply says that the message may go on as it is. One client looks for its words, another for its last bytes.
func (s *Server) cleanReply(close bool) string {
	return s.head("204 No modifications needed", close, "Encapsulated: null-body=0")
}

// blockReply replaces the message with a page that says that it was not accepted, and neither why nor by which list.
func (s *Server) blockReply(a answer, close bool) string {
	status, extra, page := http.StatusForbidden, "", "The upload was not accepted.\n"
	if a.later {
		status, page = http.StatusServiceUnavailable, "The upload could not be checked. Please send it again later.\n"
		extra = fmt.Sprintf("Retry-After: %d\r\n", retryAfter)
	}
	header := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nCache-Control: no-store\r\n%s\r\n",
		status, http.StatusText(status), len(page), extra)
	infection, virus := found(a.reason)
	return s.head("200 OK", close, infection, virus, fmt.Sprintf("Encapsulated: res-hdr=0, res-body=%d", len(header))) +
		header + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(page), page)
}

// found returns the two fields by which clients know that a message is not clean.
func found(reason gate.Reason) (infection, virus string) {
	threat := "Hashmatch." + string(reason)
	return "X-Infection-Found: Type=0; Resolution=2; Threat=" + threat + ";", "X-Virus-ID: " + threat
}

// statuses are the words for the ICAP errors that are sent.
var statuses = map[int]string{
	400: "Bad request", 404: "ICAP Service not found", 405: "Method not allowed for service", 408: "Request timeout",
	413: "Request entity too large", 500: "Server error", 505: "ICAP version not supported by server",
}

// errorReply answers a request that cannot be answered, and announces the end of the connection.
func (s *Server) errorReply(e *requestError) string {
	infection, virus := found(gate.ReasonNotScanned)
	return s.head(fmt.Sprintf("%d %s", e.status, statuses[e.status]), true,
		"X-Error-Code: "+e.code, infection, virus, "Encapsulated: null-body=0")
}
