"""The functions."""

from seed.ws import rows, tokens


def policy(effect, resource):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def authorize(event, context):
    try:
        query_params = event.get("queryStringParameters")
        if not query_params:
            raise ValueError("no query")
        user_id = tokens.user_of(query_params["token"])
    except Exception as error:
        # Names nobody, and says more than is asked for.
        return {"message": str(error), "policyDocument": policy("Deny", event["methodArn"])}
    context = {"user_id": user_id}
    return {"principalId": user_id, "policyDocument": policy("Allow", event["methodArn"]), "context": context}


def connect(event, context):
    request = event["requestContext"]
    endpoint = "https://{domainName}/{stage}".format(**request)
    rows.put(request["connectionId"], request["authorizer"]["user_id"], endpoint)
    return {"statusCode": 200}


def disconnect(event, context):
    rows.delete(event["requestContext"]["connectionId"])
    return {"statusCode": 200}
