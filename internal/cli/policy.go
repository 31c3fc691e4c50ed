package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/policy"
)

func (c *command) policy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy COMMAND",
		Short: "Print the least IAM policy for an installer, a target account or a CI that uploads",
		Long: `Policy prints IAM policies as JSON, with the names at hand: what whoever runs sam deploy needs, what the role of
a target account allows and whom it trusts, and what a CI needs to upload. It asks nobody and changes nothing.`,
		Args: cobra.NoArgs,
		Example: `  tagboat policy installer --account 999999999999 --region us-east-1 > installer.json
  aws iam put-role-policy --role-name deployer --policy-name tagboat-installer --policy-document file://installer.json`,
		DisableFlagsInUseLine: true,
		// With it, a word that is no subcommand is an error, not a page of help with exit code 0.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.policyInstaller(), c.policyTarget(), c.policyUpload())
	return cmd
}

// place are the flags that say where Tagboat is installed.
func (c *command) place(cmd *cobra.Command, p *policy.Place) {
	cmd.Flags().StringVar(&p.Stack, "stack", cmp.Or(c.Getenv("TAGBOAT_STACK"), policy.DefaultStack), "name of Tagboat's stack [$TAGBOAT_STACK]")
	cmd.Flags().StringVar(&p.Account, "account", "", "id of the account that Tagboat runs in")
	cmd.Flags().StringVar(&p.Region, "region", cmp.Or(c.Getenv("AWS_REGION"), c.Getenv("AWS_DEFAULT_REGION")), "Tagboat's region [$AWS_REGION]")
}

// printPolicy prints a policy as IAM takes it.
func (c *command) printPolicy(d policy.Document) error {
	e := json.NewEncoder(c.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

func (c *command) policyInstaller() *cobra.Command {
	var installer policy.Installer
	cmd := &cobra.Command{
		Use:   "installer",
		Short: "What whoever runs sam deploy of template.yaml may do",
		Long: `Installer prints what a deployment of template.yaml needs, and nothing that deletes its buckets or its table. Everything is
limited by the stack's name where AWS lets names be limited. Whoever may deploy may make roles of that prefix and what runs with
them: trust them as you trust an administrator of that account, and give it to the pipeline of the platform team alone.`,
		Args: cobra.NoArgs,
		Example: `  tagboat policy installer --account 999999999999 --region us-east-1
  tagboat policy installer --account 999999999999 --region us-east-1 --stack tagboat-prod --bucket acme-sam-artifacts`,
	}
	c.place(cmd, &installer.Place)
	cmd.Flags().StringVar(&installer.Bucket, "bucket", "", "bucket that sam deploy puts the code in (--s3-bucket); the one that sam makes if left out")
	cmd.RunE = func(*cobra.Command, []string) error {
		if err := installer.Check(); err != nil {
			return err
		}
		return c.printPolicy(installer.Permissions())
	}
	return cmd
}

func (c *command) policyTarget() *cobra.Command {
	var target policy.Target
	var trust bool
	cmd := &cobra.Command{
		Use:   "target",
		Short: "What the role of a target account allows or, with --trust, whom it trusts",
		Long: `Target prints the two policies of the role that an account grants to be released to: the same as iam/target-account.yaml makes,
for accounts whose roles are made in another way. Each use of the role is narrowed once more, by a session policy, to one app and one step.`,
		Args: cobra.NoArgs,
		Example: `  tagboat policy target --account 999999999999 --region us-east-1 --target-account 111111111111 --functions 'orders-*'
  tagboat policy target --account 999999999999 --region us-east-1 --external-id tagboat-dev --trust`,
	}
	c.place(cmd, &target.Tools)
	cmd.Flags().StringVar(&target.Account, "target-account", "", "id of the account that is released to")
	cmd.Flags().StringSliceVar(&target.Functions, "functions", nil, "names of the functions that may be released, or patterns with *")
	cmd.Flags().StringVar(&target.ExternalID, "external-id", "", "the external_id of the account's environment in the registry")
	cmd.Flags().BoolVar(&trust, "trust", false, "print whom the role trusts")
	cmd.RunE = func(*cobra.Command, []string) error {
		if err := target.Check(trust); err != nil {
			return err
		}
		if trust {
			return c.printPolicy(target.Trust())
		}
		return c.printPolicy(target.Permissions())
	}
	return cmd
}

func (c *command) policyUpload() *cobra.Command {
	var upload policy.Upload
	var repository string
	var trust bool
	cmd := &cobra.Command{
		Use:   "upload",
		Short: "What a CI that uploads may do or, with --trust, which workflows may take its role",
		Long: `Upload prints what a CI needs to put artifacts below the prefixes of its own apps: it can neither read nor delete anything. With
--trust it prints whom the role trusts: workflows of one GitHub repository, by its id, at one ref or pattern of refs. iam/github-oidc.yaml
makes that role and GitHub's identity provider.`,
		Args: cobra.NoArgs,
		Example: `  tagboat policy upload --account 999999999999 --region us-east-1 --apps orders
  tagboat policy upload --bucket acme-uploads --apps orders,billing
  tagboat policy upload --account 999999999999 --trust --repository acme/orders --repository-id 186853002 --owner-id 21031067 --ref 'refs/tags/v*'`,
	}
	c.place(cmd, &upload.Tools)
	cmd.Flags().StringVar(&upload.Bucket, "bucket", "", "the uploads bucket; the stack's if left out")
	cmd.Flags().StringSliceVar(&upload.Apps, "apps", nil, "apps whose artifacts are uploaded")
	cmd.Flags().BoolVar(&trust, "trust", false, "print whom the role trusts")
	cmd.Flags().StringVar(&repository, "repository", "", "the repository, as owner/name")
	cmd.Flags().StringVar(&upload.Repository.ID, "repository-id", "", "its number at GitHub")
	cmd.Flags().StringVar(&upload.Repository.OwnerID, "owner-id", "", "the number of its owner at GitHub")
	cmd.Flags().StringVar(&upload.Repository.Ref, "ref", "refs/tags/*", "the ref whose workflows upload, * being any text")
	cmd.RunE = func(*cobra.Command, []string) error {
		upload.Repository.Owner, upload.Repository.Name, _ = strings.Cut(repository, "/")
		if upload.Bucket == "" && !trust {
			if err := upload.Tools.Check(); err != nil { // the name of its bucket is made from them
				return err
			}
			upload.Bucket = upload.Tools.UploadsBucket()
		}
		if err := upload.Check(trust); err != nil {
			return err
		}
		if trust {
			return c.printPolicy(upload.Trust())
		}
		return c.printPolicy(upload.Permissions())
	}
	return cmd
}
