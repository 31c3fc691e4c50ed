package sim

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// pageOfAlarms is the most that one answer tells. Source: CloudWatch API Reference,
// DescribeAlarms and DescribeAlarmHistory, MaxRecords.
const pageOfAlarms = 100

// alarm is a CloudWatch alarm.
type alarm struct {
	account, region, name string
	composite             bool
	state                 types.StateValue
	since                 time.Time
	history               []transition
}

// transition is a change of an alarm's state.
type transition struct {
	at       time.Time
	from, to types.StateValue
}

func (a *alarm) arn() string {
	return "arn:aws:cloudwatch:" + a.region + ":" + a.account + ":alarm:" + a.name
}

// SetAlarm makes a metric alarm, or changes its state; changes are kept as history. A new
// alarm comes from INSUFFICIENT_DATA, as in CloudWatch.
func (c *Cloud) SetAlarm(account, region, name string, state types.StateValue) {
	c.setAlarm(account, region, name, state, false)
}

// SetCompositeAlarm is SetAlarm for a composite alarm.
func (c *Cloud) SetCompositeAlarm(account, region, name string, state types.StateValue) {
	c.setAlarm(account, region, name, state, true)
}

func (c *Cloud) setAlarm(account, region, name string, state types.StateValue, composite bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	alarms := c.region(account, region).alarms
	now := c.clock.Now()
	a, ok := alarms[name]
	if !ok {
		a = &alarm{account: account, region: region, name: name, state: types.StateValueInsufficientData, since: now}
		alarms[name] = a
	}
	a.composite = composite
	if a.state == state {
		return
	}
	a.history = append(a.history, transition{at: now, from: a.state, to: state})
	a.state, a.since = state, now
}

// CloudWatchClient calls CloudWatch in one region.
type CloudWatchClient struct {
	session *Session
	region  string
}

// CloudWatch is the session's client for CloudWatch in a region.
func (s *Session) CloudWatch(region string) *CloudWatchClient { return &CloudWatchClient{s, region} }

// request is a call about alarms: all of them, or one. Composite alarms are told only to
// whom the action is allowed on every resource.
//
// Source: CloudWatch API Reference, DescribeAlarms and DescribeAlarmHistory.
func (c *CloudWatchClient) request(action string, kinds []types.AlarmType, name string) request {
	resource := (&alarm{account: c.session.account, region: c.region, name: cmp.Or(name, "*")}).arn()
	if slices.Contains(kinds, types.AlarmTypeCompositeAlarm) {
		resource = "*"
	}
	return request{
		session: c.session, service: cloudwatchService, action: action, region: c.region,
		resource: resource, permission: "cloudwatch:" + action,
	}
}

// asked tells whether an alarm's kind is asked for; composite alarms only by name.
func asked(a *alarm, kinds []types.AlarmType) bool {
	if a.composite {
		return slices.Contains(kinds, types.AlarmTypeCompositeAlarm)
	}
	return len(kinds) == 0 || slices.Contains(kinds, types.AlarmTypeMetricAlarm)
}

// alarms are the region's alarms of some kinds that pass a filter, by name.
func (c *CloudWatchClient) alarms(kinds []types.AlarmType, filter func(*alarm) bool) []*alarm {
	all := c.session.cloud.region(c.session.account, c.region).alarms
	var found []*alarm
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a := all[name]; asked(a, kinds) && filter(a) {
			found = append(found, a)
		}
	}
	return found
}

// DescribeAlarms tells the state of alarms; composite ones only if AlarmTypes asks for them.
func (c *CloudWatchClient) DescribeAlarms(ctx context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	return do(ctx, c.request("DescribeAlarms", in.AlarmTypes, ""), func() (*cloudwatch.DescribeAlarmsOutput, error) {
		if len(in.AlarmNames) > pageOfAlarms {
			return nil, apiError("ValidationError", fmt.Sprintf("The collection AlarmNames must not have a size greater than %d", pageOfAlarms))
		}
		found := c.alarms(in.AlarmTypes, func(a *alarm) bool {
			return (len(in.AlarmNames) == 0 || slices.Contains(in.AlarmNames, a.name)) &&
				strings.HasPrefix(a.name, value(in.AlarmNamePrefix)) && (in.StateValue == "" || in.StateValue == a.state)
		})
		some, next, err := page(found, in.NextToken, in.MaxRecords, pageOfAlarms)
		if err != nil {
			return nil, apiError("InvalidNextToken", "The next token specified is invalid.")
		}
		return describeAlarms(some, next), nil
	})
}

func describeAlarms(alarms []*alarm, next *string) *cloudwatch.DescribeAlarmsOutput {
	out := &cloudwatch.DescribeAlarmsOutput{NextToken: next}
	for _, a := range alarms {
		if a.composite {
			out.CompositeAlarms = append(out.CompositeAlarms, types.CompositeAlarm{
				AlarmName: ptr(a.name), AlarmArn: ptr(a.arn()), StateValue: a.state, StateUpdatedTimestamp: ptr(a.since),
				StateTransitionedTimestamp: ptr(a.since),
			})
			continue
		}
		out.MetricAlarms = append(out.MetricAlarms, types.MetricAlarm{
			AlarmName: ptr(a.name), AlarmArn: ptr(a.arn()), StateValue: a.state, StateUpdatedTimestamp: ptr(a.since),
			StateTransitionedTimestamp: ptr(a.since),
		})
	}
	return out
}

// DescribeAlarmHistory tells changes of state between two times, the newest first unless
// ScanBy says otherwise. Other kinds of history items do not exist here.
func (c *CloudWatchClient) DescribeAlarmHistory(ctx context.Context, in *cloudwatch.DescribeAlarmHistoryInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmHistoryOutput, error) {
	r := c.request("DescribeAlarmHistory", in.AlarmTypes, value(in.AlarmName))
	return do(ctx, r, func() (*cloudwatch.DescribeAlarmHistoryOutput, error) {
		if in.HistoryItemType != "" && in.HistoryItemType != types.HistoryItemTypeStateUpdate {
			return &cloudwatch.DescribeAlarmHistoryOutput{}, nil
		}
		var all []types.AlarmHistoryItem
		for _, a := range c.alarms(in.AlarmTypes, func(a *alarm) bool { return in.AlarmName == nil || *in.AlarmName == a.name }) {
			all = append(all, a.items(in.StartDate, in.EndDate)...)
		}
		slices.SortStableFunc(all, func(a, b types.AlarmHistoryItem) int {
			if in.ScanBy == types.ScanByTimestampAscending {
				return a.Timestamp.Compare(*b.Timestamp)
			}
			return b.Timestamp.Compare(*a.Timestamp)
		})
		some, next, err := page(all, in.NextToken, in.MaxRecords, pageOfAlarms)
		if err != nil {
			return nil, apiError("InvalidNextToken", "The next token specified is invalid.")
		}
		return &cloudwatch.DescribeAlarmHistoryOutput{AlarmHistoryItems: some, NextToken: next}, nil
	})
}

// items are the changes of state from start to end, both included.
func (a *alarm) items(start, end *time.Time) []types.AlarmHistoryItem {
	kind := types.AlarmTypeMetricAlarm
	if a.composite {
		kind = types.AlarmTypeCompositeAlarm
	}
	var items []types.AlarmHistoryItem
	for _, t := range a.history {
		if start != nil && t.at.Before(*start) || end != nil && t.at.After(*end) {
			continue
		}
		items = append(items, types.AlarmHistoryItem{
			AlarmName: ptr(a.name), AlarmType: kind, HistoryItemType: types.HistoryItemTypeStateUpdate, Timestamp: ptr(t.at),
			HistorySummary: ptr(fmt.Sprintf("Alarm updated from %s to %s", t.from, t.to)),
			HistoryData: ptr(fmt.Sprintf(
				`{"version":"1.0","oldState":{"stateValue":%q},"newState":{"stateValue":%q}}`, t.from, t.to)),
		})
	}
	return items
}
