// Package house holds no code: its test keeps the order of the packages.
//
// The domain knows no adapter, the kinds know the domain and nothing of each
// other, only app joins them, and no Lambda carries the simulator.
package house
