// Sends what stands in files, one after the other, over mutual TLS with node-hl7-client, and prints what each was answered:
// node sender.js PORT KEY CERTIFICATE CA FILE...
import fs from 'node:fs'
import { Client, Message } from 'node-hl7-client'

const [port, key, cert, ca, ...files] = process.argv.slice(2)
const tls = { key: fs.readFileSync(key), cert: fs.readFileSync(cert), ca: fs.readFileSync(ca) }
const client = new Client({ host: '127.0.0.1', tls })
const answers = []

const connection = client.createConnection({ port: Number(port) }, async (response) => {
  const message = response.getMessage()
  answers.push(['MSH.9', 'MSA.1', 'MSA.2'].map((path) => message.get(path).toString()))
  if (answers.length === files.length) {
    console.log(JSON.stringify(answers))
    await connection.close()
    process.exit(0)
  }
  await next()
})
connection.on('error', (error) => console.error(error.message))

const next = () => connection.sendMessage(new Message({ text: fs.readFileSync(files[answers.length], 'utf8') }))
connection.on('connect', () => answers.length === 0 && next())
