// Renders /openapi.json. Everything is made of text nodes: nothing in the document becomes markup.

const document_ = await (await fetch('/openapi.json')).json()
const main = document.getElementById('main')
const nav = document.getElementById('nav')

function make(tag, properties, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value !== undefined) element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== undefined && child !== ''))
  return element
}

// Text in which `code` is set as code
function prose(text) {
  return (text ?? '').split('`').map((part, index) => (index % 2 ? make('code', {}, part) : part))
}

function resolve(thing) {
  return thing.$ref ? thing.$ref.slice(2).split('/').reduce((at, key) => at[key], document_) : thing
}

const nameOf = (reference) => reference.split('/').at(-1)

// A schema in few words, with links to the schemas it names
function type(schema) {
  if (schema === true || Object.keys(schema).length === 0) return ['anything']
  if (schema.$ref) {
    const name = nameOf(schema.$ref)
    return [make('a', { href: `#schema-${name}` }, name)]
  }
  if ('const' in schema) return [make('code', {}, JSON.stringify(schema.const))]
  if (schema.enum) return join(schema.enum.map((value) => [make('code', {}, JSON.stringify(value))]), ' | ')
  const some = schema.oneOf ?? schema.anyOf
  if (some) return join(some.map(type), ' | ')
  if (schema.contentSchema) return ['JSON of ', ...type(schema.contentSchema)]
  if (schema.properties?.event) return [make('code', {}, schema.properties.event.const), ': ', ...type(schema.properties.data)]
  if (schema.allOf) return join(schema.allOf.filter((part) => part.$ref).map(type), ' & ')
  if (schema.type === 'array') return ['list of ', ...type(schema.items ?? {})]
  if (schema.type === 'object' && schema.additionalProperties?.type) {
    return ['object of ', ...type(schema.additionalProperties)]
  }
  if (schema.type === 'object' && schema.additionalProperties?.$ref) {
    return ['object of ', ...type(schema.additionalProperties)]
  }
  return [[schema.type ?? 'anything', limits(schema)].filter(Boolean).join(', ')]
}

function limits(schema) {
  const unit = schema.type === 'string' ? ' characters' : ''
  const least = schema.minLength ?? schema.minimum ?? schema.minItems
  const most = schema.maxLength ?? schema.maximum ?? schema.maxItems
  const range =
    least !== undefined && most !== undefined ? `${least} to ${most}${unit}`
    : most !== undefined ? `at most ${most}${unit}`
    : least !== undefined ? `at least ${least}${unit}`
    : ''
  return [range, schema.pattern, schema.format, 'default' in schema && `default ${JSON.stringify(schema.default)}`]
    .filter(Boolean)
    .join(', ')
}

function join(lists, separator) {
  return lists.flatMap((list, index) => (index ? [separator, ...list] : list))
}

function table(headings, rows) {
  const cells = (tag, row) => row.map((cell) => make(tag, tag === 'th' ? { scope: 'col' } : {}, ...[cell].flat()))
  return make(
    'table',
    {},
    make('thead', {}, make('tr', {}, ...cells('th', headings))),
    make('tbody', {}, ...rows.map((row) => make('tr', {}, ...cells('td', row)))),
  )
}

function curl(method, path, operation, example) {
  const lines = [`curl ${method === 'get' ? '' : `-X ${method.toUpperCase()} `}'${location.origin}${path}'`]
  if (!operation.security) lines.push(`  -H "X-API-Key: $API_KEY"`)
  if (example) {
    lines.push(`  -H 'Content-Type: application/json'`)
    lines.push(`  -d '${JSON.stringify(example).replaceAll("'", "'\\''")}'`)
  }
  return lines.join(' \\\n')
}

function response([status, reply]) {
  const kinds = Object.entries(reply.content ?? {}).map(([media, { schema }]) => {
    const data = schema?.properties?.data
    return [make('code', {}, media), ...(schema ? [': ', ...(data ? ['events of ', ...type(data)] : type(schema))] : [])]
  })
  const headers = Object.keys(reply.headers ?? {})
  return [
    make('code', {}, status),
    [
      make('div', {}, ...prose(reply.description)),
      ...kinds.map((kind) => make('div', { class: 'soft' }, ...kind)),
      headers.length ? make('div', { class: 'soft' }, `Headers: ${headers.join(', ')}`) : '',
    ],
  ]
}

function operationArticle(method, path, operation) {
  const parameters = operation.parameters.map(resolve)
  const body = operation.requestBody?.content['application/json']
  const examples = Object.entries(body?.examples ?? {})
  const responses = Object.entries(operation.responses)
  const good = responses.filter(([status]) => status < 400)
  const bad = responses.filter(([status]) => status >= 400)
  return make(
    'article',
    { id: operation.operationId },
    make('h3', {}, make('span', { class: `method ${method}` }, method), make('code', {}, path)),
    make('p', {}, ...prose(operation.summary)),
    operation.description ? make('p', {}, ...prose(operation.description)) : '',
    make('pre', {}, curl(method, path, operation, examples[0]?.[1].value)),
    ...examples.slice(1).map(([name, { value }]) =>
      make('details', {}, make('summary', {}, name), make('pre', {}, JSON.stringify(value, null, 2)))),
    body ? make('p', {}, 'Body: ', ...type(body.schema)) : '',
    make('h4', {}, 'Parameters'),
    table(
      ['Name', 'In', 'Type', ''],
      parameters.map((item) => [make('code', {}, item.name), item.in, type(item.schema), prose(item.description)]),
    ),
    make('h4', {}, 'Replies'),
    table(['Status', ''], good.map(response)),
    make('details', {}, make('summary', {}, `${bad.length} kinds of refusal`), table(['Status', ''], bad.map(response))),
  )
}

function schemaArticle([name, schema]) {
  const required = new Set(schema.required)
  const rows = Object.entries(schema.properties ?? {}).map(([field, value]) => [
    [make('code', {}, field), required.has(field) ? '' : ' ?'],
    type(value),
    prose(value.description),
  ])
  return make(
    'article',
    { id: `schema-${name}` },
    make('h3', {}, make('code', {}, name)),
    schema.description ? make('p', {}, ...prose(schema.description)) : '',
    rows.length ? table(['Field', 'Type', ''], rows) : make('p', {}, ...type(schema)),
  )
}

main.replaceChildren(
  make('h1', {}, document_.info.title),
  make('p', {}, ...prose(document_.info.description)),
  make('p', { class: 'soft' }, `Version ${document_.info.version}, OpenAPI ${document_.openapi}. `, make('a', { href: '/openapi.json' }, 'openapi.json')),
)
document.title = `${document_.info.title} API`

const operations = Object.entries(document_.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })))

for (const { name } of document_.tags) {
  const mine = operations.filter(({ operation }) => operation.tags.includes(name))
  main.append(make('h2', {}, name), ...mine.map(({ path, method, operation }) => operationArticle(method, path, operation)))
  nav.append(
    make('h2', {}, name),
    make('ul', {}, ...mine.map(({ path, method, operation }) =>
      make('li', {}, make('a', { href: `#${operation.operationId}` }, make('span', { class: `method ${method}` }, method), path)))),
  )
}
main.append(make('h2', {}, 'Schemas'), ...Object.entries(document_.components.schemas).map(schemaArticle))
nav.append(make('h2', {}, 'Schemas'), make('ul', {}, ...Object.keys(document_.components.schemas).map((name) =>
  make('li', {}, make('a', { href: `#schema-${name}` }, name)))))

if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView()
