package release

import "time"

// Revocation is a grant of a layer version that a person took back: releases do
// not make it again.
type Revocation struct {
	// Layer is the version's full ARN.
	Layer string `json:"layer"`
	Grant Grant  `json:"grant"`
	// Reason and By are why, and who said so.
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	// Gone is when the grant was seen to be gone; zero: it may still be there.
	Gone time.Time `json:"gone,omitzero"`
}

// Revoked finds the revocation of a layer version's grant.
func Revoked(all []Revocation, layer string, grant Grant) (Revocation, bool) {
	for _, r := range all {
		if r.Layer == layer && r.Grant == grant {
			return r, true
		}
	}
	return Revocation{}, false
}
