// A WXRC client for Go 1.18 or later, with nothing but the standard library.
//
//	go run client.go BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]     call an interface and print the answer
//	go run client.go sign INTERFACE KEY < TEXT                          print the signature of a text
//	go run client.go verify SECRET ID TIMESTAMP SIGNATURES < BODY       end with 0 if a callback is genuine, else with 1
//
// Every call takes a new txcode, unless TXCODE names one, and ends after TOTAL_S seconds (60).
package main

import (
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	try       = 30 * time.Second
	tolerance = 300 * time.Second
)

// Sign returns the HMAC-SHA256-V2 signature: the interface's name, a line feed and the text, under the channel's KEY.
func Sign(name string, text []byte, key string) string {
	return hex.EncodeToString(hmacSHA256([]byte(key), []byte(name+"\n"), text))
}

// Call calls an interface and returns the answer's text.
//
// When the answer is lost, or the gateway is busy, the very same bytes are sent again: with the same txcode it is done once.
func Call(base, chid, key, botcode, name, body, txcode string, total time.Duration) (string, error) {
	if txcode == "" {
		random := make([]byte, 10)
		if _, err := crand.Read(random); err != nil {
			return "", err
		}
		txcode = hex.EncodeToString(random)
	}
	txtime := strconv.FormatInt(time.Now().UnixMilli(), 10)
	head, err := json.Marshal(map[string]string{"chid": chid, "botcode": botcode, "txcode": txcode, "txtime": txtime})
	if err != nil {
		return "", err
	}
	text := `{"reqHead":` + string(head) + `,"reqBody":` + body + `}` // what is signed is what is sent, byte for byte
	signature := Sign(name, []byte(text), key)
	until := time.Now().Add(total)
	for wait := 200 * time.Millisecond; ; wait = min(wait*2, 5*time.Second) {
		status, answer, after, err := post(strings.TrimRight(base, "/")+"/api/"+name, text, signature, min(try, time.Until(until)))
		if err == nil && status == http.StatusOK {
			return answer, nil
		}
		if err == nil {
			err = fmt.Errorf("HTTP %d: %s", status, answer)
			if status != http.StatusRequestTimeout && status != http.StatusTooManyRequests && status < 500 {
				return "", err
			}
		}
		pause := after + time.Duration(float64(wait)*(0.5+rand.Float64()/2))
		if time.Now().Add(pause).After(until) {
			return "", fmt.Errorf("no answer (%v); it may have been accepted: repeat it with TXCODE=%s", err, txcode)
		}
		time.Sleep(pause)
	}
}

// Verify tells whether a callback is genuine and not an old one. signatures is the header webhook-signature, body the bytes as they came.
func Verify(secret, id, timestamp, signatures string, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	seconds, notNumber := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || notNumber != nil {
		return false
	}
	if age := time.Since(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return false
	}
	right := "v1," + base64.StdEncoding.EncodeToString(hmacSHA256(key, []byte(id+"."+timestamp+"."), body))
	for _, each := range strings.Split(signatures, " ") {
		if hmac.Equal([]byte(right), []byte(each)) {
			return true
		}
	}
	return false
}

func post(url, text, signature string, limit time.Duration) (status int, answer string, after time.Duration, err error) {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(text))
	if err != nil {
		return 0, "", 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Ecaspsplus-SignatureType", "HMAC-SHA256-V2")
	request.Header.Set("X-Ecaspsplus-Signature", signature)
	client := http.Client{Timeout: limit, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", 0, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return response.StatusCode, string(content), time.Duration(seconds) * time.Second, err
}

func hmacSHA256(key []byte, parts ...[]byte) []byte {
	digest := hmac.New(sha256.New, key)
	for _, part := range parts {
		digest.Write(part)
	}
	return digest.Sum(nil)
}

func min(one, other time.Duration) time.Duration {
	if one < other {
		return one
	}
	return other
}

func main() {
	values := os.Args[1:]
	if len(values) == 3 && values[0] == "sign" {
		text, _ := io.ReadAll(os.Stdin)
		fmt.Println(Sign(values[1], text, values[2]))
		return
	}
	if len(values) == 5 && values[0] == "verify" {
		body, _ := io.ReadAll(os.Stdin)
		if !Verify(values[1], values[2], values[3], values[4], body) {
			os.Exit(1)
		}
		return
	}
	if len(values) < 5 || len(values) > 6 {
		fmt.Fprintln(os.Stderr, "usage: go run client.go BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]")
		os.Exit(2)
	}
	body := "{}"
	if len(values) == 6 {
		body = values[5]
	}
	total := 60 * time.Second
	if seconds, err := strconv.Atoi(os.Getenv("TOTAL_S")); err == nil {
		total = time.Duration(seconds) * time.Second
	}
	answer, err := Call(values[0], values[1], values[2], values[3], values[4], body, os.Getenv("TXCODE"), total)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(answer)
}
