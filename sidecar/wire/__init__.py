"""How HTTP is spoken: two engines behind `sidecar.transport`, which alone comes in here.

`lean` is our own HTTP/1.1 client on httptools, `aiohttp_client` is aiohttp's. Both take an admitted
`Target` and checked headers, and give an `Answer` or raise a `DeliveryError`.
"""
