package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

var bothKinds = []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}

func TestDescribeAlarmsLeavesCompositeOnesOutUnlessAsked(t *testing.T) {
	within(t, func(w world) {
		w.cloud.SetAlarm(dev, east, "errors", types.StateValueOk)
		w.cloud.SetCompositeAlarm(dev, east, "all", types.StateValueAlarm)
		describe := func(in cloudwatch.DescribeAlarmsInput) string {
			out := must(w.cloud.Root(dev).CloudWatch(east).DescribeAlarms(w.ctx, &in))(t)
			text := ""
			for _, a := range out.MetricAlarms {
				text += fmt.Sprintf("%s %s;", *a.AlarmName, a.StateValue)
			}
			for _, a := range out.CompositeAlarms {
				text += fmt.Sprintf("composite %s %s;", *a.AlarmName, a.StateValue)
			}
			return text
		}
		tests := []struct {
			name, want string
			in         cloudwatch.DescribeAlarmsInput
		}{
			{"not asked", "errors OK;", cloudwatch.DescribeAlarmsInput{}},
			{"not asked, but named", "", cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"all"}}},
			{"asked", "errors OK;composite all ALARM;", cloudwatch.DescribeAlarmsInput{AlarmTypes: bothKinds}},
			{"by state", "composite all ALARM;", cloudwatch.DescribeAlarmsInput{AlarmTypes: bothKinds, StateValue: types.StateValueAlarm}},
			{"by prefix", "errors OK;", cloudwatch.DescribeAlarmsInput{AlarmTypes: bothKinds, AlarmNamePrefix: ptr("err")}},
			{"unknown", "", cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"none"}}},
		}
		for _, test := range tests {
			w.run(test.name, func(w world) {
				if got := describe(test.in); got != test.want {
					w.Errorf("got %q, want %q", got, test.want)
				}
			})
		}
		w.run("composite ones need the permission on everything", func(w world) {
			narrow := w.role(dev, "watcher", allow("arn:aws:cloudwatch:*:*:alarm:*", "cloudwatch:Describe*")).CloudWatch(east)
			must(narrow.DescribeAlarms(w.ctx, &cloudwatch.DescribeAlarmsInput{}))(w)
			_, err := narrow.DescribeAlarms(w.ctx, &cloudwatch.DescribeAlarmsInput{AlarmTypes: bothKinds})
			refused(w, err, "AccessDenied", "on resource: *")
		})
	})
}

func TestDescribeAlarmHistoryTellsAFlap(t *testing.T) {
	within(t, func(w world) {
		began := w.clock.Now()
		for _, state := range []types.StateValue{types.StateValueOk, types.StateValueOk, types.StateValueAlarm, types.StateValueOk} {
			w.cloud.SetAlarm(dev, east, "errors", state)
			w.sleep(time.Minute)
		}
		history := func(in cloudwatch.DescribeAlarmHistoryInput) (got []string) {
			in.AlarmName, in.HistoryItemType = ptr("errors"), types.HistoryItemTypeStateUpdate
			for _, i := range must(w.cloud.Root(dev).CloudWatch(east).DescribeAlarmHistory(w.ctx, &in))(t).AlarmHistoryItems {
				got = append(got, *i.HistorySummary)
			}
			return got
		}
		if got := fmt.Sprint(history(cloudwatch.DescribeAlarmHistoryInput{})); got != "[Alarm updated from ALARM to OK Alarm updated from OK to ALARM Alarm updated from INSUFFICIENT_DATA to OK]" {
			t.Errorf("got %s", got)
		}
		since := cloudwatch.DescribeAlarmHistoryInput{StartDate: ptr(began.Add(time.Second)), ScanBy: types.ScanByTimestampAscending}
		if got := fmt.Sprint(history(since)); got != "[Alarm updated from OK to ALARM Alarm updated from ALARM to OK]" {
			t.Errorf("since a time, oldest first: got %s", got)
		}
		if got := history(cloudwatch.DescribeAlarmHistoryInput{EndDate: ptr(began.Add(-time.Second))}); len(got) != 0 {
			t.Errorf("before the beginning: got %v", got)
		}
	})
}
