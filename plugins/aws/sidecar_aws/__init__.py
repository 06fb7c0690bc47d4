"""Amazon SES (e-mail) and SNS (SMS) for OTP Sidecar: the kinds `ses` and `sns`.

Importing the package loads no AWS library; botocore comes with the first provider that is
opened and has something to find.
"""
