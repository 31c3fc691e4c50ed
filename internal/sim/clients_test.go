package sim_test

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/tagboat/tagboat/internal/sim"
)

var (
	_ s3.ListObjectsV2APIClient               = (*sim.S3Client)(nil)
	_ s3.ListObjectVersionsAPIClient          = (*sim.S3Client)(nil)
	_ lambda.ListLayerVersionsAPIClient       = (*sim.LambdaClient)(nil)
	_ cloudwatch.DescribeAlarmsAPIClient      = (*sim.CloudWatchClient)(nil)
	_ lambda.ListVersionsByFunctionAPIClient  = (*sim.LambdaClient)(nil)
	_ lambda.ListFunctionsAPIClient           = (*sim.LambdaClient)(nil)
	_ lambda.ListEventSourceMappingsAPIClient = (*sim.LambdaClient)(nil)
)

func TestEveryMethodHasTheSignatureOfTheSDK(t *testing.T) {
	pairs := []struct{ fake, real any }{
		{&sim.LambdaClient{}, &lambda.Client{}},
		{&sim.S3Client{}, &s3.Client{}},
		{&sim.STSClient{}, &sts.Client{}},
		{&sim.CloudWatchClient{}, &cloudwatch.Client{}},
		{&sim.DynamoDBClient{}, &dynamodb.Client{}},
	}
	for _, p := range pairs {
		fake, real := reflect.ValueOf(p.fake), reflect.ValueOf(p.real)
		if fake.NumMethod() == 0 {
			t.Errorf("%T has no methods", p.fake)
		}
		for i := range fake.NumMethod() {
			name := fake.Type().Method(i).Name
			want := real.MethodByName(name)
			if !want.IsValid() {
				t.Errorf("%T.%s: the SDK has no such method", p.fake, name)
				continue
			}
			if got := fake.Method(i).Type(); got != want.Type() {
				t.Errorf("%T.%s is %v, want %v", p.fake, name, got, want.Type())
			}
		}
	}
}
