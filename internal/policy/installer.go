package policy

// Installer is whoever runs sam deploy of template.yaml.
type Installer struct {
	Place
	// Bucket is where sam deploy puts the code (--s3-bucket); empty is the one
	// that sam makes for itself (resolve_s3 in samconfig.toml).
	Bucket string
}

// Check tells what is wrong with an installer, by the flags of the command.
func (i Installer) Check() error {
	if err := i.Place.Check(); err != nil || i.Bucket == "" {
		return err
	}
	return match("--bucket", i.Bucket, bucketPattern, "the bucket that sam deploy puts the code in", "acme-sam-artifacts")
}

// managed is the stack that sam makes for its bucket, and what its bucket's name begins with.
const managed = "aws-sam-cli-managed-default"

// Permissions are what a deployment needs. Everything is limited by the stack's
// name, which all names in template.yaml begin with, where AWS lets names be
// limited. Buckets and the table stay when the stack goes: nothing allows to
// delete them.
func (i Installer) Permissions() Document {
	statements := i.stack()
	for _, g := range groups() {
		var actions []string
		for _, kind := range sorted(g.types) {
			actions = join(actions, g.types[kind].all())
		}
		statements = append(statements, allow(g.sid, actions, g.resources(i.Place)...))
	}
	return document(append(statements, i.around()...)...)
}

// stack is what sam deploy itself does.
func (i Installer) stack() []Statement {
	stacks := []string{i.arn("cloudformation", "stack/"+i.Stack+"/*")}
	code := i.Bucket
	if code == "" {
		code = managed + "-*"
		stacks = append(stacks, i.arn("cloudformation", "stack/"+managed+"/*"))
	}
	statements := []Statement{
		allow("Stack", []string{
			"cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet", "cloudformation:ExecuteChangeSet",
			"cloudformation:DeleteChangeSet", "cloudformation:DescribeStacks", "cloudformation:DescribeStackEvents",
			"cloudformation:DescribeStackResources", "cloudformation:GetTemplate", "cloudformation:GetTemplateSummary",
			"cloudformation:DeleteStack", "cloudformation:TagResource",
		}, stacks...),
		allow("Transform", []string{"cloudformation:CreateChangeSet"},
			"arn:"+i.partition()+":cloudformation:"+i.Region+":aws:transform/Serverless-2016-10-31"),
		// Lambda reads the code from there with the rights of its caller.
		allow("Code", []string{"s3:GetObject", "s3:PutObject"}, i.global("s3", "", code+"/*")),
	}
	if i.Bucket != "" {
		return append(statements, allow("CodeBucket", []string{"s3:ListBucket", "s3:GetBucketLocation"}, i.global("s3", "", code)))
	}
	return append(statements, allow("CodeBucket", []string{
		"s3:CreateBucket", "s3:ListBucket", "s3:GetBucketLocation", "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:PutBucketVersioning",
		"s3:PutBucketTagging", "s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration",
	}, i.global("s3", "", code)))
}

// around is what resources need of others.
func (i Installer) around() []Statement {
	linked := i.global("iam", i.Account, "role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway")
	return []Statement{
		allow("PassRoles", []string{"iam:PassRole"}, roles().resources(i.Place)...).
			when("StringEquals", "iam:PassedToService", "lambda.amazonaws.com", "states.amazonaws.com"),
		// With the first API of an account, API Gateway makes its role (developer guide, Using service-linked roles).
		allow("FirstApi", []string{"iam:CreateServiceLinkedRole"}, linked).
			when("StringEquals", "iam:AWSServiceName", "ops.apigateway.amazonaws.com"),
		// The logs of an API and of a state machine are delivered by the account's log deliveries, which
		// have no resource to name, nor have these lists (Service Authorization Reference).
		allow("LogDeliveries", []string{
			"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries",
			"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
		}, "*"),
	}
}
