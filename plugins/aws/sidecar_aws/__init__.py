"""Amazon SES (e-mail), SNS and End User Messaging (SMS): the kinds `ses`, `sns` and `eum`.

Importing the package loads no AWS library; botocore comes with the first provider that is
opened and has something to find.
"""
