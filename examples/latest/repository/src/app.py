def handler(event, context):
    return {"cleaned": 0}
