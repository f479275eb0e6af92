// Package icap is an ICAP server (RFC 3507) around gate.Gate, for proxies such as squid and for applications that know
// how to ask a virus scanner over ICAP. One connection is a conversation of requests, one after the other:
//
//	request -> body: chunks, preview -> uploads: decoded, parts of a form -> Checker -> 204, the message, or a block
//
// What is scanned: every body, whatever its type. A multipart/form-data body is taken apart, and each part is one
// upload, except fields of a form that are short text and file inputs that were left empty. Any other body is one
// upload. A body that is no image (a form of fields only, JSON) has the surface's answer for what is not an image, so
// a proxy must ask only for the paths that take uploads. Images inside of JSON are not seen as images.
//
// What cannot be scanned as it was sent is held, by name, through the Checker, so that the policy, the audit and the
// metrics see it: parts of a file (Content-Range, Upload-Offset), content encodings other than gzip and deflate, what
// unpacks to too much, multipart bodies that another parser could read in another way, bodies that were announced and
// did not come.
//
// What a client is told: a clean upload is a 204, or its own message in a 200 where the client takes no 204. All else
// is a 200 with a page of status 403, or 503 if it may be sent again later. The ICAP header X-Infection-Found is in
// every answer that is not "clean", those to malformed requests included: there are clients that look at nothing else
// and take an ICAP error without it for a clean file. A status of 500 with X-Error-Code: decode_error, by which other
// servers say "cannot be scanned", is never sent: a client in wide use publishes such files unless it is told not to.
package icap
