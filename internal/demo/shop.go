// Package demo is what `warder demo` shows: a small shop API, ordinary customers and a handful of attackers that send it
// real HTTP requests through the gateway, and the reckoning of what Warder did about them.
package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Password is every customer's password in the shop.
const Password = "correct horse"

// Shop returns the sample API. It never answers 403 or 429 by itself, so each of those comes from the gateway.
func Shop() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page)
	mux.HandleFunc("GET /assets/{file}", page)
	mux.HandleFunc("POST /login", login)
	mux.HandleFunc("GET /api/v1/products", products)
	mux.HandleFunc("GET /api/v1/products/{id}", product)
	mux.HandleFunc("GET /api/v1/search", search)
	mux.HandleFunc("GET /api/v1/orders", withToken(orders))
	mux.HandleFunc("GET /api/v1/orders/{id}", withToken(order))
	mux.HandleFunc("POST /api/v1/cart", withToken(cart))
	return mux
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client went away: nothing to do
}

func page(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "<!doctype html><title>Shop</title><p>%d bytes of shop</p>", len(r.URL.Path)*100)
}

func login(w http.ResponseWriter, r *http.Request) {
	var in struct{ User, Password string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": "want user and password"})
		return
	}
	if in.Password != Password || !strings.HasPrefix(in.User, "customer-") {
		reply(w, http.StatusUnauthorized, map[string]string{"error": "wrong user or password"})
		return
	}
	reply(w, http.StatusOK, map[string]string{"token": "token-" + in.User})
}

func withToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer token-customer-") {
			reply(w, http.StatusUnauthorized, map[string]string{"error": "log in first"})
			return
		}
		next(w, r)
	}
}

type item struct {
	ID    int     `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

func catalogue(n int) item { return item{n, fmt.Sprintf("Article %d", n), float64(n%90) + 9.99} }

func products(w http.ResponseWriter, _ *http.Request) {
	out := make([]item, 20)
	for i := range out {
		out[i] = catalogue(i + 1)
	}
	reply(w, http.StatusOK, out)
}

func product(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || n < 1 || n > 5000 {
		reply(w, http.StatusNotFound, map[string]string{"error": "no such article"})
		return
	}
	reply(w, http.StatusOK, catalogue(n))
}

func search(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, map[string]any{"query": r.URL.Query().Get("q"), "found": []item{catalogue(7), catalogue(12)}})
}

func orders(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, []map[string]any{{"id": 1001, "total": 42.5, "at": time.Unix(1700000000, 0).UTC()}})
}

func order(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, map[string]any{"id": r.PathValue("id"), "items": []item{catalogue(3)}})
}

func cart(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusCreated, map[string]string{"status": "added"})
}
