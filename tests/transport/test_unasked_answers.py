"""What a peer says unasked, on a connection that is kept, is nobody's answer."""

import asyncio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"


async def post(transport, port):
    return await transport.request(
        "POST", f"http://127.0.0.1:{port}/send", headers={}, body=b"hello", timeout=5.0
    )


async def read_request(reader):
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(5)


async def test_a_second_answer_is_not_that_of_the_next_request(transport, serve):
    go_on, said, taken = asyncio.Event(), asyncio.Event(), []

    async def says_more(reader, writer):
        await read_request(reader)
        taken.append("first")
        writer.write(ANSWER + b"answer1")
        await go_on.wait()
        writer.write(ANSWER + b"unasked")
        said.set()
        await reader.read()

    async def answers(reader, writer):
        while True:
            await read_request(reader)
            taken.append("next")
            writer.write(ANSWER + b"answer2")

    handlers = iter((says_more, answers))

    async def handle(reader, writer):
        await next(handlers)(reader, writer)

    port = await serve(handle)
    elsewhere = await serve(answers)
    assert (await post(transport, port)).body == b"answer1"
    go_on.set()
    await said.wait()
    await post(transport, elsewhere)  # the loop hears what was said meanwhile
    taken.clear()
    assert (await post(transport, port)).body == b"answer2"
    assert taken == ["next"], "what was told as taken was taken"
