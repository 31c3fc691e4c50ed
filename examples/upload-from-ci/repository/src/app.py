from PIL import Image


def handler(event, context):
    if event.get("ping"):
        return {"statusCode": 200, "body": Image.__name__}
    return {"statusCode": 501, "body": "which picture?"}
