// The page and the runtime of examples/chat_clients on one free port: node serve.mjs FOLDER
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { build } from 'esbuild'

const folder = process.argv[2]
await build({
  entryPoints: [`${folder}/main.tsx`],
  outfile: `${folder}/page/main.js`,
  bundle: true,
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.woff': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl' },
  logLevel: 'error',
})
const html = '<!doctype html><link rel="stylesheet" href="/main.css"><div id="root"></div><script src="/main.js"></script>'
const files = { '/': ['text/html', html] }
for (const [name, type] of [['main.js', 'text/javascript'], ['main.css', 'text/css']]) {
  files[`/${name}`] = [type, await readFile(`${folder}/page/${name}`)]
}
// the runtime listens by itself: its requests pass through here, so that the page has one origin
const { listener } = await import(`${folder}/copilotkit_runtime.mjs`)
const server = createServer((request, reply) => {
  const found = files[new URL(request.url, 'http://page').pathname]
  if (!found) return listener(request, reply)
  reply.writeHead(200, { 'Content-Type': found[0] }).end(found[1])
})
server.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`))
