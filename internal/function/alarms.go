package function

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/tagboat/tagboat/internal/release"
)

// AlarmsAPI is what is needed of CloudWatch. The SDK's client satisfies it.
type AlarmsAPI interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
	DescribeAlarmHistory(context.Context, *cloudwatch.DescribeAlarmHistoryInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmHistoryOutput, error)
}

var _ AlarmsAPI = (*cloudwatch.Client)(nil)

// alarmsAtOnce is how many names DescribeAlarms takes (CloudWatch API reference).
const alarmsAtOnce = 100

// alarmTypes are asked for explicitly: DescribeAlarms leaves composite alarms out otherwise.
var alarmTypes = []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}

// alarm is a metric or composite alarm as it is now.
type alarm struct {
	name    string
	state   types.StateValue
	reason  string
	updated time.Time
}

// Watch looks at alarms once. It is an error of kind Conflict if one is in
// ALARM, or was since a time: an alarm that came and went between two looks
// counts. The zero time asks for the present only. INSUFFICIENT_DATA is not an
// alarm. A name that no alarm has is Invalid.
func (f *Functions) Watch(ctx context.Context, target release.Target, alarms []string, since time.Time) error {
	if len(alarms) == 0 {
		return nil
	}
	api, err := f.cfg.Alarms(ctx, target)
	if err != nil {
		return err
	}
	found, err := describe(ctx, api, target.Site, alarms)
	if err != nil {
		return err
	}
	for _, name := range alarms {
		if err := watchOne(ctx, api, target.Site, name, found, since); err != nil {
			return err
		}
	}
	return nil
}

func watchOne(ctx context.Context, api AlarmsAPI, site release.Site, name string, found map[string]alarm, since time.Time) error {
	a, ok := found[name]
	switch {
	case !ok:
		return release.Errorf(release.Invalid, "alarm %q does not exist in account %s, %s", name, site.Account, site.Region).
			WithRemedy("Create it there, or correct alarms in the manifest.")
	case a.state == types.StateValueAlarm:
		return ringing(a, site)
	case since.IsZero() || !a.updated.IsZero() && a.updated.Before(since):
		return nil // its state has not changed since: there is nothing to look up
	}
	flap, err := lastRing(ctx, api, site, name, since)
	if err != nil || flap == nil {
		return err
	}
	return ringing(*flap, site)
}

func ringing(a alarm, site release.Site) error {
	return release.Errorf(release.Conflict, "alarm %q in account %s, %s went to ALARM at %s: %s",
		a.name, site.Account, site.Region, a.updated.UTC().Format(time.RFC3339), cmp.Or(a.reason, "CloudWatch gives no reason")).
		WithRemedy("Find out why it rang; release again when it is OK.")
}

// describe reads the alarms by name, in as few calls as their number allows.
func describe(ctx context.Context, api AlarmsAPI, site release.Site, names []string) (map[string]alarm, error) {
	found := map[string]alarm{}
	for chunk := range slices.Chunk(names, alarmsAtOnce) {
		in := &cloudwatch.DescribeAlarmsInput{AlarmNames: chunk, AlarmTypes: alarmTypes}
		for {
			out, err := api.DescribeAlarms(ctx, in)
			if err != nil {
				return nil, refused(err, site, "read alarms %q", chunk)
			}
			collect(found, out)
			if aws.ToString(out.NextToken) == "" {
				break
			}
			in.NextToken = out.NextToken
		}
	}
	return found, nil
}

func collect(found map[string]alarm, out *cloudwatch.DescribeAlarmsOutput) {
	for _, a := range out.MetricAlarms {
		name := aws.ToString(a.AlarmName)
		found[name] = alarm{name, a.StateValue, aws.ToString(a.StateReason), aws.ToTime(a.StateUpdatedTimestamp)}
	}
	for _, a := range out.CompositeAlarms {
		name := aws.ToString(a.AlarmName)
		found[name] = alarm{name, a.StateValue, aws.ToString(a.StateReason), aws.ToTime(a.StateUpdatedTimestamp)}
	}
}

// lastRing finds a change to ALARM since a time in an alarm's history.
func lastRing(ctx context.Context, api AlarmsAPI, site release.Site, name string, since time.Time) (*alarm, error) {
	in := &cloudwatch.DescribeAlarmHistoryInput{
		AlarmName:       &name,
		AlarmTypes:      alarmTypes,
		HistoryItemType: types.HistoryItemTypeStateUpdate,
		StartDate:       &since,
		ScanBy:          types.ScanByTimestampDescending,
	}
	for {
		out, err := api.DescribeAlarmHistory(ctx, in)
		if err != nil {
			return nil, refused(err, site, "read the history of alarm %q", name)
		}
		for _, item := range out.AlarmHistoryItems {
			reason, rang := rang(aws.ToString(item.HistoryData))
			if at := aws.ToTime(item.Timestamp); rang && !at.Before(since) {
				return &alarm{name, types.StateValueAlarm, reason, at}, nil
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return nil, nil
		}
		in.NextToken = out.NextToken
	}
}

// rang tells whether a history item is a change to ALARM, and why. Its data is
// JSON with the old and the new state (CloudWatch API reference, AlarmHistoryItem).
func rang(data string) (reason string, ok bool) {
	var change struct {
		NewState struct {
			Value  string `json:"stateValue"`
			Reason string `json:"stateReason"`
		} `json:"newState"`
	}
	if err := json.Unmarshal([]byte(data), &change); err != nil {
		return fmt.Sprintf("history that cannot be read: %v", err), true // rather stop than miss an alarm
	}
	return change.NewState.Reason, change.NewState.Value == string(types.StateValueAlarm)
}
