package doctor

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Bucket looks whether a bucket is there and versioned: releases read their
// documents and their code by version.
func (c Clients) Bucket(ctx context.Context, report *Report, check, region, bucket string) {
	l := report.look(check, bucket)
	out, err := c.Buckets(region).GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket})
	switch {
	case err != nil:
		l.refused(err, "Deploy the stack again, or name the bucket that there is.")
	case out.Status != s3types.BucketVersioningStatusEnabled:
		l.fail("aws s3api put-bucket-versioning --bucket "+bucket+" --versioning-configuration Status=Enabled",
			"it is not versioned: what releases have pinned can be replaced")
	default:
		l.ok("it is there and versioned")
	}
}

// events looks whether the uploads bucket tells EventBridge what arrives.
func (c Clients) events(ctx context.Context, report *Report, bucket, remedy string) {
	l := report.look("uploads events", bucket)
	out, err := c.Buckets("").GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &bucket})
	switch {
	case err != nil:
		l.refused(err, remedy)
	case out.EventBridgeConfiguration == nil:
		l.fail(remedy, "it sends no events to EventBridge: nobody notices what is uploaded")
	default:
		l.ok("they go to EventBridge")
	}
}

func (o *Outside) table(ctx context.Context, report *Report, name string) {
	l := report.look("ledger", name)
	out, err := o.Tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	switch {
	case err != nil:
		l.refused(err, "Deploy the stack again; if the table is lost, restore it from its backup under the same name.")
		return
	case out.Table.TableStatus != dbtypes.TableStatusActive && out.Table.TableStatus != dbtypes.TableStatusUpdating:
		l.fail("Look at the table in the console.", "its status is %s", out.Table.TableStatus)
		return
	}
	l.ok("the table is there")
	backups, err := o.Tables.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &name})
	switch {
	case err != nil:
		l.refused(err, "")
	case recoverable(backups.ContinuousBackupsDescription):
		l.ok("it can be restored to any point in time")
	default:
		l.warn("aws dynamodb update-continuous-backups --table-name "+name+" --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
			"it cannot be restored to a point in time: what is lost is lost")
	}
}

func recoverable(d *dbtypes.ContinuousBackupsDescription) bool {
	return d != nil && d.PointInTimeRecoveryDescription != nil &&
		d.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus == dbtypes.PointInTimeRecoveryStatusEnabled
}

// readAll reads a document of at most limit bytes.
func readAll(body io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}
