//go:build !linux

package engine

import "syscall"

// dieWithParent is not to be had from this kernel; the process only gets a group of its own.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
