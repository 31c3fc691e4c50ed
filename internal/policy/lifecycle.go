package policy

// Lifecycle is what CloudFormation calls for the resources of a type, with the
// rights of whoever deploys: the handlers' permissions in the type's schema
// (CloudFormation registry), as far as template.yaml sets the properties. Delete
// is empty where every resource of the type stays when the stack goes.
type Lifecycle struct{ Create, Read, Update, Delete []string }

// all are the actions of a lifecycle, each once.
func (l Lifecycle) all() []string {
	var actions []string
	for _, part := range [][]string{l.Create, l.Read, l.Update, l.Delete} {
		actions = join(actions, part)
	}
	return actions
}

// Lifecycles are those of the resource types that template.yaml becomes.
func Lifecycles() map[string]Lifecycle {
	all := map[string]Lifecycle{}
	for _, g := range groups() {
		for kind, l := range g.types {
			all[kind] = l
		}
	}
	return all
}

// group are resource types whose resources a statement names together.
type group struct {
	sid       string
	types     map[string]Lifecycle
	resources func(Place) []string
}

func groups() []group {
	return []group{lambdas(), roles(), machines(), tables(), buckets(), apis(), rules(), logGroups(), queues(), topics(), alarms()}
}

func named(service, resource string) func(Place) []string {
	return func(p Place) []string { return []string{p.arn(service, resource+p.Stack+"-*")} }
}

func lambdas() group {
	return group{"Functions", map[string]Lifecycle{
		"AWS::Lambda::Function": {
			Create: []string{"lambda:CreateFunction", "lambda:TagResource"},
			Read: []string{"lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:GetFunctionCodeSigningConfig",
				"lambda:GetRuntimeManagementConfig", "lambda:GetFunctionRecursionConfig", "lambda:ListTags"},
			Update: []string{"lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:UntagResource"},
			Delete: []string{"lambda:DeleteFunction"},
		},
		"AWS::Lambda::Version": {
			Create: []string{"lambda:PublishVersion"},
			Read:   []string{"lambda:GetFunctionConfiguration", "lambda:GetProvisionedConcurrencyConfig", "lambda:ListVersionsByFunction"},
			// A version never changes, and SAM keeps those of former deployments: running releases use them.
		},
		"AWS::Lambda::Alias": {
			Create: []string{"lambda:CreateAlias"}, Read: []string{"lambda:GetAlias"},
			Update: []string{"lambda:UpdateAlias"}, Delete: []string{"lambda:DeleteAlias"},
		},
		"AWS::Lambda::Permission": {
			Create: []string{"lambda:AddPermission"}, Read: []string{"lambda:GetPolicy"},
			Update: []string{"lambda:AddPermission", "lambda:RemovePermission"}, Delete: []string{"lambda:RemovePermission"},
		},
	}, named("lambda", "function:")}
}

func roles() group {
	return group{"Roles", map[string]Lifecycle{"AWS::IAM::Role": {
		Create: []string{"iam:CreateRole", "iam:PutRolePolicy", "iam:TagRole"},
		Read:   []string{"iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"},
		Update: []string{"iam:UpdateRole", "iam:UpdateAssumeRolePolicy", "iam:DeleteRolePolicy", "iam:UntagRole"},
		Delete: []string{"iam:DeleteRole"},
	}}, func(p Place) []string { return []string{p.global("iam", p.Account, "role/"+p.Stack+"-*")} }}
}

func machines() group {
	return group{"StateMachine", map[string]Lifecycle{"AWS::StepFunctions::StateMachine": {
		Create: []string{"states:CreateStateMachine", "states:TagResource"},
		Read:   []string{"states:DescribeStateMachine", "states:ListTagsForResource"},
		Update: []string{"states:UpdateStateMachine", "states:UntagResource"},
		Delete: []string{"states:DeleteStateMachine"},
	}}, named("states", "stateMachine:")}
}

func tables() group {
	return group{"Table", map[string]Lifecycle{"AWS::DynamoDB::Table": {
		Create: []string{"dynamodb:CreateTable", "dynamodb:TagResource"},
		Read: []string{"dynamodb:DescribeTable", "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTimeToLive",
			"dynamodb:DescribeContributorInsights", "dynamodb:DescribeKinesisStreamingDestination", "dynamodb:GetResourcePolicy",
			"dynamodb:ListTagsOfResource"},
		Update: []string{"dynamodb:UpdateTable", "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTimeToLive", "dynamodb:UntagResource"},
	}}, named("dynamodb", "table/")}
}

func buckets() group {
	configure := []string{"s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutBucketPublicAccessBlock",
		"s3:PutBucketOwnershipControls", "s3:PutLifecycleConfiguration", "s3:PutBucketNotification", "s3:PutBucketTagging"}
	return group{"Buckets", map[string]Lifecycle{
		"AWS::S3::Bucket": {
			Create: append([]string{"s3:CreateBucket"}, configure...),
			Read: []string{"s3:ListBucket", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetBucketPublicAccessBlock",
				"s3:GetBucketOwnershipControls", "s3:GetLifecycleConfiguration", "s3:GetBucketNotification", "s3:GetBucketTagging"},
			Update: configure,
		},
		"AWS::S3::BucketPolicy": {
			Create: []string{"s3:PutBucketPolicy"}, Read: []string{"s3:GetBucketPolicy"},
			Update: []string{"s3:PutBucketPolicy"}, Delete: []string{"s3:DeleteBucketPolicy"},
		},
	}, func(p Place) []string { return []string{p.global("s3", "", p.Stack+"-*")} }}
}

// apis have ids for names, which nobody knows beforehand; their tags are written by POST, PUT and DELETE too.
func apis() group {
	return group{"Api", map[string]Lifecycle{
		"AWS::ApiGatewayV2::Api": {
			Create: []string{"apigateway:POST"}, Read: []string{"apigateway:GET"},
			Update: []string{"apigateway:PATCH", "apigateway:PUT"}, Delete: []string{"apigateway:DELETE"},
		},
		"AWS::ApiGatewayV2::Stage": {
			Create: []string{"apigateway:POST"}, Read: []string{"apigateway:GET"},
			Update: []string{"apigateway:PATCH"}, Delete: []string{"apigateway:DELETE"},
		},
	}, func(p Place) []string {
		own := "arn:" + p.partition() + ":apigateway:" + p.Region + "::"
		return []string{own + "/apis", own + "/apis/*", own + "/tags/*"}
	}}
}

func rules() group {
	return group{"Rules", map[string]Lifecycle{"AWS::Events::Rule": {
		Create: []string{"events:PutRule", "events:PutTargets", "events:TagResource"},
		Read:   []string{"events:DescribeRule", "events:ListTargetsByRule", "events:ListTagsForResource"},
		Update: []string{"events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:UntagResource"},
		Delete: []string{"events:RemoveTargets", "events:DeleteRule"},
	}}, named("events", "rule/")}
}

func logGroups() group {
	return group{"LogGroups", map[string]Lifecycle{"AWS::Logs::LogGroup": {
		Create: []string{"logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:TagResource"},
		Read:   []string{"logs:DescribeLogGroups", "logs:ListTagsForResource", "logs:GetDataProtectionPolicy", "logs:DescribeIndexPolicies"},
		Update: []string{"logs:PutRetentionPolicy", "logs:DeleteRetentionPolicy", "logs:UntagResource"},
		Delete: []string{"logs:DeleteLogGroup"},
	}}, func(p Place) []string {
		return []string{
			p.arn("logs", "log-group:/aws/lambda/"+p.Stack+"-*"),
			p.arn("logs", "log-group:/aws/apigateway/"+p.Stack+"*"),
			p.arn("logs", "log-group:/aws/vendedlogs/states/"+p.Stack+"-*"),
		}
	}}
}

func queues() group {
	return group{"Queues", map[string]Lifecycle{
		"AWS::SQS::Queue": {
			Create: []string{"sqs:CreateQueue", "sqs:TagQueue"}, Read: []string{"sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"},
			Update: []string{"sqs:SetQueueAttributes", "sqs:UntagQueue"}, Delete: []string{"sqs:DeleteQueue"},
		},
		"AWS::SQS::QueuePolicy": { // an attribute of the queue
			Create: []string{"sqs:SetQueueAttributes"}, Read: []string{"sqs:GetQueueAttributes"},
			Update: []string{"sqs:SetQueueAttributes"}, Delete: []string{"sqs:SetQueueAttributes"},
		},
	}, named("sqs", "")}
}

func topics() group {
	return group{"Topics", map[string]Lifecycle{
		"AWS::SNS::Topic": {
			Create: []string{"sns:CreateTopic", "sns:TagResource"},
			Read:   []string{"sns:GetTopicAttributes", "sns:GetDataProtectionPolicy", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource"},
			Update: []string{"sns:SetTopicAttributes", "sns:UntagResource"},
			Delete: []string{"sns:DeleteTopic"},
		},
		"AWS::SNS::TopicPolicy": { // an attribute of the topic
			Create: []string{"sns:SetTopicAttributes"}, Read: []string{"sns:GetTopicAttributes"},
			Update: []string{"sns:SetTopicAttributes"}, Delete: []string{"sns:SetTopicAttributes"},
		},
	}, named("sns", "")}
}

func alarms() group {
	return group{"Alarms", map[string]Lifecycle{"AWS::CloudWatch::Alarm": {
		Create: []string{"cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"},
		Read:   []string{"cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"},
		Update: []string{"cloudwatch:PutMetricAlarm", "cloudwatch:UntagResource"},
		Delete: []string{"cloudwatch:DeleteAlarms"},
	}}, named("cloudwatch", "alarm:")}
}
