package sim

// attach finds the layers that a function is to have, in this order. Those that it has
// already stay even if they were deleted or are no longer shared; each other one must
// exist and be readable by the caller.
//
// Source: Lambda Developer Guide, "Managing Lambda dependencies with layers".
func (c *LambdaClient) attach(r request, arns []string, present []*layerVersion) ([]*layerVersion, error) {
	if len(arns) > maxLayers {
		return nil, invalid("Cannot reference more than %d layers.", maxLayers)
	}
	var layers []*layerVersion
	for _, arn := range arns {
		v, err := c.layerToAttach(r, arn, present)
		if err != nil {
			return nil, err
		}
		for _, other := range layers {
			if other.target.layerARN() == v.target.layerARN() {
				return nil, invalid("Two different versions of the same layer are not allowed to be referenced in the same function. %s and %s are versions of the same layer.", other.arn(), arn)
			}
		}
		layers = append(layers, v)
	}
	return layers, nil
}

func (c *LambdaClient) layerToAttach(r request, arn string, present []*layerVersion) (*layerVersion, error) {
	for _, v := range present {
		if v.arn() == arn {
			return v, nil
		}
	}
	t, ok := parseLayerARN(arn)
	if !ok || t.number == 0 {
		return nil, apiError("ValidationException", "Value '["+arn+"]' at 'layers' failed to satisfy constraint: Member must be the ARN of a layer version")
	}
	v, err := c.readLayer(r, t)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, invalid("Layer version %s does not exist.", arn)
	}
	return v, nil
}

// checkPackage enforces the limit on a function's code together with its layers, unzipped.
func checkPackage(of code, layers []*layerVersion) error {
	var size int64
	if of.archive != nil {
		size = of.archive.unzipped
	}
	for _, l := range layers {
		size += l.archive.unzipped
	}
	if size > maxUnzipped {
		return invalid("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", maxUnzipped, size)
	}
	return nil
}
