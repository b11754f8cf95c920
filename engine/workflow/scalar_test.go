package workflow_test

import (
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "30s": 30 * time.Second, "5m": 5 * time.Minute, "2h": 2 * time.Hour, "3d": 72 * time.Hour,
		"1h30m": 90 * time.Minute, "1d2h3m4s": 26*time.Hour + 3*time.Minute + 4*time.Second, "90m": 90 * time.Minute,
		"0h1s": time.Second, "3660d": 3660 * 24 * time.Hour,
	} {
		if got, err := workflow.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "0s", "0d", "1", "s", "1ms", "1.5h", "-1s", "+1s", "1 s", "1S", "30m1h", "1s1s", "1w", "3661d", "999999d", "9999999999s",
		"3660d1s", "１s", "1h ", "infinity", "1e3s",
	} {
		if got, err := workflow.ParseDuration(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1000": 1000, "1B": 1, "2KB": 2000, "2KiB": 2048, "25MiB": 25 << 20, "2GB": 2e9, "1TiB": 1 << 40,
	} {
		if got, err := workflow.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MB", "1.5MB", "-1", "1 MB", "1mb", "1M", "999999999999TiB", "1e3"} {
		if got, err := workflow.ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestCheckCron(t *testing.T) {
	for _, text := range []string{
		"* * * * *", "0 9 * * MON-FRI", "*/15 * * * *", "0-59/59 * * * *", "5/10 0 1 1 0", "0 0 29 2 *", "0 0 30 1,2 *", "0 0 31 2 1",
		"0,15,30,45 8-18 * jan-Dec sun,Sat", "0 0 ? * ?", "  0   9 * * *  ", "00 09 * * *",
	} {
		if err := workflow.CheckCron(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *", "* * * 13 *", "* * * * 7",
		"-1 * * * *", "1- * * * *", "-5 * * * *", "1-2-3 * * * *", "5-1 * * * *", "*/0 * * * *", "*/60 * * * *", "*/ * * * *", "/5 * * * *",
		"*/5/5 * * * *", "55/10 * * * *", "1,,2 * * * *", ",1 * * * *", "1.5 * * * *", "+5 * * * *", "* * * * MON#1", "* * L * *",
		"* * 15W * *", "? * * * *", "* * * MONDAY *", "* * * * JAN", "0 0 31 4,6,9,11 *", "0 0 30 FEB ?", "TZ=UTC * * * * *", "TZ=UTC",
		"CRON_TZ=UTC * * * * *", "@every 1s", "@every -1s", "@daily", "@reboot", "*\x00 * * * *", "099 * * * *", "² * * * *",
		"99999999999999999999 * * * *", "*/99999999999999999999 * * * *",
	} {
		if err := workflow.CheckCron(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestLoadZone(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "Etc/GMT+5"} {
		if zone, err := workflow.LoadZone(name); err != nil || zone.String() != name {
			t.Errorf("%q: %v, %v", name, zone, err)
		}
	}
	for _, name := range []string{"", "Local", "Europe/Nowhere", "../../etc/passwd", "/etc/localtime", "CEST+2"} {
		if zone, err := workflow.LoadZone(name); err == nil {
			t.Errorf("%q is %v", name, zone)
		}
	}
}
