// notifme-sdk behind node's http; its provider POSTs the body over kept connections.
//
// node notifme.js UPSTREAM
'use strict'

const path = require('path')
const { createRequire } = require('module')
const fetched = createRequire(path.join(__dirname, '..', '.peers', 'node_modules', 'x.js'))
const NotifmeSdk = fetched('notifme-sdk').default
const upstream = new URL(process.argv[2])
const client = require(upstream.protocol === 'https:' ? 'https' : 'http')
const http = require('http')

const agent = new client.Agent({ keepAlive: true, maxSockets: 4096 })

function post (request) {
  const body = JSON.stringify({ to: request.to, subject: request.subject, text: request.text })
  return new Promise((resolve, reject) => {
    const sent = client.request({
      host: upstream.hostname,
      port: upstream.port,
      path: upstream.pathname,
      method: 'POST',
      agent,
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
    }, (reply) => {
      let text = ''
      reply.on('data', (piece) => { text += piece })
      reply.on('end', () => reply.statusCode < 300 ? resolve(JSON.parse(text).id) : reject(new Error(text)))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const sdk = new NotifmeSdk({
  channels: { email: { providers: [{ type: 'custom', id: 'stub', send: post }] } }
})

const server = http.createServer((request, response) => {
  let text = ''
  request.on('data', (piece) => { text += piece })
  request.on('end', () => {
    const { to, text: words } = JSON.parse(text)
    sdk.send({ email: { from: 'codes@example.com', to, subject: 'Your code', text: words } }).then((result) => {
      const answer = JSON.stringify({ status: result.status, id: result.channels.email.id })
      response.writeHead(result.status === 'success' ? 200 : 502, {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(answer)
      })
      response.end(answer)
    })
  })
})
server.keepAliveTimeout = 600000
server.listen(0, '127.0.0.1', 4096, () => console.log(server.address().port))
