// Takes messages about studies at a port, over mutual TLS, and prints what node-hl7-server reads in them.
import fs from 'node:fs'
import { Server } from 'node-hl7-server'

const [port, key, cert, ca] = process.argv.slice(2)
const tls = { key: fs.readFileSync(key), cert: fs.readFileSync(cert), ca: fs.readFileSync(ca), requestCert: true, rejectUnauthorized: true }
const server = new Server({ bindAddress: '127.0.0.1', tls })
let refused = false

const inbound = server.createInbound({ port: Number(port) }, async (request, response) => {
  const message = request.getMessage()
  const said = ['MSH.10', 'OBR.25', 'OBX.5', 'PID.3.1', 'PID.5', 'OBR.18', 'OBR.4.2'].map((path) => message.get(path).toString())
  console.log(JSON.stringify(said))
  await response.sendResponse(refused ? 'AA' : 'AE')
  refused = true
})
inbound.on('error', (error) => console.error(error.message))
