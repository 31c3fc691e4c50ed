package templatetest

import (
	"fmt"
	"slices"
	"testing"
)

func TestBucketsAreVersionedEncryptedPrivateAndKept(t *testing.T) {
	count := 0
	for _, file := range []string{mainTemplate, regionTemplate} {
		template := load(t, file)
		for id, bucket := range ofType(template, "AWS::S3::Bucket") {
			count++
			properties := at(bucket, "Properties")
			for _, check := range []struct {
				what      string
				got, want any
			}{
				{"versioning", at(properties, "VersioningConfiguration", "Status"), "Enabled"},
				{"deletion policy", at(bucket, "DeletionPolicy"), "Retain"},
				{"replacement policy", at(bucket, "UpdateReplacePolicy"), "Retain"},
				{"blocks of public access", fmt.Sprint(at(properties, "PublicAccessBlockConfiguration")),
					"map[BlockPublicAcls:true BlockPublicPolicy:true IgnorePublicAcls:true RestrictPublicBuckets:true]"},
				{"encryptions", len(list(at(properties, "BucketEncryption", "ServerSideEncryptionConfiguration"))), 1},
				{"policies against plain HTTP", tlsOnly(template, id), 1},
			} {
				if check.got != check.want {
					t.Errorf("%s: %s: got %v, want %v", id, check.what, check.got, check.want)
				}
			}
		}
	}
	if count != 3 {
		t.Errorf("there are %d buckets, want 3", count)
	}
}

// tlsOnly counts the bucket's statements that deny requests without TLS.
func tlsOnly(template object, bucket string) int {
	count := 0
	for _, policy := range ofType(template, "AWS::S3::BucketPolicy") {
		if at(policy, "Properties", "Bucket", "Ref") != bucket {
			continue
		}
		for _, s := range list(at(policy, "Properties", "PolicyDocument", "Statement")) {
			if at(s, "Effect") == "Deny" && at(s, "Condition", "Bool", "aws:SecureTransport") == "false" {
				count++
			}
		}
	}
	return count
}

// A principal of any account is public to S3, which then refuses the policy, and
// anybody could name a role like the target role.
func TestBucketPoliciesNameTheAccountsTheyLetIn(t *testing.T) {
	for file, bucket := range map[string]string{mainTemplate: "StateBucketPolicy", regionTemplate: "StagingBucketPolicy"} {
		policy := ofType(load(t, file), "AWS::S3::BucketPolicy")[bucket]
		granted := 0
		for _, s := range list(at(policy, "Properties", "PolicyDocument", "Statement")) {
			if at(s, "Effect") != "Allow" {
				continue
			}
			granted++
			if got := at(s, "Principal", "AWS", "Ref"); got != "TargetAccounts" {
				t.Errorf("%s lets %v in, want the accounts of parameter TargetAccounts", bucket, at(s, "Principal"))
			}
			if at(s, "Condition", "ArnLike", "aws:PrincipalArn") == nil {
				t.Errorf("%s lets in every role of the target accounts", bucket)
			}
		}
		if granted != 1 {
			t.Errorf("%s grants %d times, want once", bucket, granted)
		}
	}
}

// The ledger's table has the keys and the attribute that its code writes.
func TestTheTableIsTheLedgers(t *testing.T) {
	properties := at(ofType(load(t, mainTemplate), "AWS::DynamoDB::Table")["Ledger"], "Properties")
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"keys", fmt.Sprint(at(properties, "KeySchema")), "[map[AttributeName:pk KeyType:HASH] map[AttributeName:sk KeyType:RANGE]]"},
		{"time to live", fmt.Sprint(at(properties, "TimeToLiveSpecification")), "map[AttributeName:expires Enabled:true]"},
		{"point-in-time recovery", at(properties, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"), "true"},
		{"encryption", at(properties, "SSESpecification", "SSEEnabled"), "true"},
	} {
		if check.got != check.want {
			t.Errorf("%s: got %v, want %v", check.what, check.got, check.want)
		}
	}
}

func TestLogsExpireAsTheParameterSays(t *testing.T) {
	groups := ofType(load(t, mainTemplate), "AWS::Logs::LogGroup")
	if want := len(functions(t)) + 2; len(groups) != want {
		t.Errorf("there are %d log groups, want %d: each function's, the API's and the state machine's", len(groups), want)
	}
	for id, group := range groups {
		if got := at(group, "Properties", "RetentionInDays", "Ref"); got != "LogRetentionDays" {
			t.Errorf("%s keeps its logs for %v", id, got)
		}
	}
}

func TestWhatFailsRaisesAnAlarm(t *testing.T) {
	template := load(t, mainTemplate)
	watched := []string{}
	for _, alarm := range ofType(template, "AWS::CloudWatch::Alarm") {
		dimension := list(at(alarm, "Properties", "Dimensions"))[0]
		what := at(dimension, "Value", "Ref")
		if what == nil {
			what = at(dimension, "Value", "Fn::GetAtt")
		}
		watched = append(watched, fmt.Sprintf("%v %v", at(alarm, "Properties", "MetricName"), what))
	}
	want := []string{
		"ExecutionsFailed ReleaseStateMachine", "ExecutionsTimedOut ReleaseStateMachine", "ExecutionsAborted ReleaseStateMachine",
		"ExecutionThrottled ReleaseStateMachine", "Errors WebhookFunction", "5xx WebhookApi", "Errors ArtifactFunction", "Errors RecoverFunction", "Errors MissedFunction",
	}
	for id := range ofType(template, "AWS::SQS::Queue") {
		want = append(want, "ApproximateNumberOfMessagesVisible "+id+".QueueName")
	}
	slices.Sort(watched)
	slices.Sort(want)
	if !slices.Equal(watched, want) {
		t.Errorf("alarms watch %q, want %q", watched, want)
	}
}
