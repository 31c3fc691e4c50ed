package sim

import (
	"math/big"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// expression is a condition or key condition with its names and values. These terms are
// known, joined by AND: attribute_exists(n), attribute_not_exists(n), begins_with(n, :v),
// n BETWEEN :v AND :w, and n =, <>, <, <=, >, >= :v.
type expression struct {
	text   *string
	names  map[string]string
	values map[string]types.AttributeValue
}

// term is one comparison of an expression.
type term struct {
	name, operator string
	values         []types.AttributeValue
}

var termPatterns = []*regexp.Regexp{
	regexp.MustCompile(`^(attribute_not_exists|attribute_exists)\s*\(\s*([#\w]+)\s*\)`),
	regexp.MustCompile(`^(begins_with)\s*\(\s*([#\w]+)\s*,\s*(:\w+)\s*\)`),
	regexp.MustCompile(`^()([#\w]+)\s+BETWEEN\s+(:\w+)\s+AND\s+(:\w+)`),
	regexp.MustCompile(`^()([#\w]+)\s*(<>|<=|>=|=|<|>)\s*(:\w+)`),
}

var andPattern = regexp.MustCompile(`^\s+AND\s+`)

// terms reads the expression and refuses names and values that are not defined or not used.
func (e expression) terms() ([]term, error) {
	rest := strings.TrimSpace(*e.text)
	used := map[string]bool{}
	var terms []term
	for {
		t, length, err := e.term(rest, used)
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
		rest = rest[length:]
		if rest == "" {
			break
		}
		and := andPattern.FindString(rest)
		if and == "" {
			return nil, invalidItem("Invalid expression: Syntax error; or not simulated; near: %q", rest)
		}
		rest = rest[len(and):]
	}
	return terms, e.checkUsed(used)
}

// term reads the first term of a text and tells its length.
func (e expression) term(text string, used map[string]bool) (term, int, error) {
	for i, pattern := range termPatterns {
		m := pattern.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		t := term{operator: m[1]}
		references := m[3:]
		switch i {
		case 2:
			t.operator = "BETWEEN"
		case 3:
			t.operator, references = m[3], m[4:]
		}
		var err error
		if t.name, err = e.name(m[2], used); err != nil {
			return term{}, 0, err
		}
		for _, reference := range references {
			v, ok := e.values[reference]
			if !ok {
				return term{}, 0, invalidItem("Invalid expression: An expression attribute value used in expression is not defined; attribute value: %s", reference)
			}
			used[reference] = true
			t.values = append(t.values, v)
		}
		return t, len(m[0]), nil
	}
	return term{}, 0, invalidItem("Invalid expression: Syntax error; or not simulated; near: %q", text)
}

func (e expression) name(reference string, used map[string]bool) (string, error) {
	if !strings.HasPrefix(reference, "#") {
		return reference, nil
	}
	name, ok := e.names[reference]
	if !ok {
		return "", invalidItem("Invalid expression: An expression attribute name used in the document path is not defined; attribute name: %s", reference)
	}
	used[reference] = true
	return name, nil
}

func (e expression) checkUsed(used map[string]bool) error {
	for name := range e.names {
		if !used[name] {
			return invalidItem("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range e.values {
		if !used[name] {
			return invalidItem("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

// holds tells whether all terms are true of an item; nil is one that is not there.
func (e expression) holds(item record) (bool, error) {
	terms, err := e.terms()
	if err != nil {
		return false, err
	}
	for _, t := range terms {
		if !t.holds(item) {
			return false, nil
		}
	}
	return true, nil
}

// require fails with ConditionalCheckFailedException unless there is no condition or it holds.
func (e expression) require(old record, returns types.ReturnValuesOnConditionCheckFailure) error {
	if e.text == nil {
		return nil
	}
	holds, err := e.holds(old)
	if holds || err != nil {
		return err
	}
	failed := &types.ConditionalCheckFailedException{Message: ptr("The conditional request failed")}
	if returns == types.ReturnValuesOnConditionCheckFailureAllOld {
		failed.Item = cloneItem(old)
	}
	return failed
}

// checkKeyCondition enforces that a query names one partition, and at most one range of it.
func (e expression) checkKeyCondition() error {
	if e.text == nil {
		return invalidItem("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	terms, err := e.terms()
	if err != nil {
		return err
	}
	for i, t := range terms {
		partition := i == 0 && t.name == partitionKey && t.operator == "="
		within := i == 1 && t.name == sortKey && t.operator != "<>" && !strings.HasPrefix(t.operator, "attribute_")
		if !partition && !within {
			return invalidItem("Query key condition not supported")
		}
		for _, v := range t.values {
			if s, ok := v.(*types.AttributeValueMemberS); !ok || s.Value == "" {
				return invalidItem("One or more parameter values are not valid. The value of a key must be a string that is not empty. Key: %s", t.name)
			}
		}
		if t.operator == "BETWEEN" && compare(t.values[0], t.values[1]) > 0 {
			return invalidItem("Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
		}
	}
	return nil
}

// startKey is the key to go on after; it must be one that the condition selects.
func (e expression) startKey(start record) (string, error) {
	if len(start) == 0 {
		return "", nil
	}
	key, err := onlyKey(start)
	if err != nil {
		return "", err
	}
	holds, err := e.holds(start)
	if err != nil {
		return "", err
	}
	if !holds {
		return "", invalidItem("The provided starting key is outside query boundaries based on provided conditions")
	}
	return key, nil
}

// holds tells whether the term is true of an item.
func (t term) holds(item record) bool {
	got, there := item[t.name]
	switch t.operator {
	case "attribute_not_exists":
		return !there
	case "attribute_exists":
		return there
	}
	if !there || !sameType(got, t.values[0]) {
		return there && t.operator == "<>"
	}
	switch t.operator {
	case "begins_with":
		return strings.HasPrefix(textOf(got), textOf(t.values[0]))
	case "BETWEEN":
		return compare(t.values[0], got) <= 0 && compare(got, t.values[1]) <= 0
	case "=":
		return compare(got, t.values[0]) == 0
	case "<>":
		return compare(got, t.values[0]) != 0
	case "<":
		return compare(got, t.values[0]) < 0
	case "<=":
		return compare(got, t.values[0]) <= 0
	case ">":
		return compare(got, t.values[0]) > 0
	}
	return compare(got, t.values[0]) >= 0
}

func sameType(a, b types.AttributeValue) bool {
	_, aNumber := a.(*types.AttributeValueMemberN)
	_, bNumber := b.(*types.AttributeValueMemberN)
	return aNumber == bNumber
}

// compare orders numbers by value and everything else by its text.
func compare(a, b types.AttributeValue) int {
	if _, ok := a.(*types.AttributeValueMemberN); ok {
		x, xOK := new(big.Rat).SetString(textOf(a))
		y, yOK := new(big.Rat).SetString(textOf(b))
		if xOK && yOK {
			return x.Cmp(y)
		}
	}
	return strings.Compare(textOf(a), textOf(b))
}

// textOf is the value of a scalar as text.
func textOf(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	case *types.AttributeValueMemberB:
		return string(v.Value)
	case *types.AttributeValueMemberBOOL:
		if v.Value {
			return "true"
		}
		return "false"
	}
	return ""
}
