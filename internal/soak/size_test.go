package soak

import "time"

// size is how much happens in a world. A bug shows in the smallest world that has
// it, and many small worlds are tried in the time of a large one; but some need
// several apps that get in each other's way for hours.
type size struct {
	name string
	// busy is how long events come and things break at most; an eighth of it at least.
	busy time.Duration
	// apps and releases are drawn: how many apps, and how many events of each.
	apps, releases []int
	// prodAlone, staging and twoRegions are probabilities of environments.
	prodAlone, staging, twoRegions float64
	// levels of faults are drawn: the fewer calls, the more of them fail.
	levels []float64
}

var (
	small = size{
		name: "small", busy: 25 * time.Minute, apps: []int{1, 1, 1, 1, 1, 1, 2}, releases: []int{1, 1, 1, 1, 1, 1, 2, 3},
		prodAlone: 0.75, twoRegions: 0.12, levels: []float64{0, 0.004, 0.008, 0.015, 0.03, 0.06},
	}
	medium = size{
		name: "medium", busy: time.Hour, apps: []int{1, 1, 2}, releases: []int{1, 2, 2, 3},
		prodAlone: 0.2, staging: 0.1, twoRegions: 0.4, levels: []float64{0, 0.003, 0.006, 0.015, 0.04},
	}
	large = size{
		name: "large", busy: 2 * time.Hour, apps: []int{1, 1, 1, 2, 3}, releases: []int{1, 1, 2, 2, 3, 4},
		staging: 0.3, twoRegions: 0.5, levels: []float64{0, 0.002, 0.002, 0.006, 0.006, 0.015, 0.04},
	}
	crowded = size{
		name: "crowded", busy: time.Hour, apps: []int{5, 6}, releases: []int{6, 8, 10},
		prodAlone: 0.5, twoRegions: 0.2, levels: []float64{0, 0.001, 0.002, 0.004},
	}
)

// sizeOf makes every thousandth world a crowded one, every hundredth world a large one, and every twentieth a medium one.
func sizeOf(seed uint64) size {
	switch {
	case seed%1000 == 500:
		return crowded
	case seed%100 == 0:
		return large
	case seed%20 == 0:
		return medium
	}
	return small
}
