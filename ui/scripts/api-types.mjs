// Writes src/lib/api.types.ts from the description that the server gives of its API. Needs bin/bellhop (`make build`).
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { freePort, until } from './server.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const dir = mkdtempSync(tmpdir() + '/bellhop-api-')
const port = await freePort()
const server = spawn(root + 'bin/bellhop', ['serve', '--dir', dir, '--listen', `127.0.0.1:${port}`], { stdio: 'ignore' })
let doc
try {
  doc = await until(async () => (await fetch(`http://127.0.0.1:${port}/api/v1/openapi.json`)).json())
} finally {
  await new Promise((resolve) => server.once('exit', resolve) && server.kill())
  rmSync(dir, { recursive: true, force: true })
}

const names = doc.components.schemas
const typeName = (ref) => ref.slice(ref.lastIndexOf('/') + 1).replace(/\W/g, '_')
const quote = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name))

function typeOf(schema) {
  if (!schema || schema === true) return 'unknown'
  if (schema.$ref) return typeName(schema.$ref)
  if (schema.enum) return schema.enum.map((v) => JSON.stringify(v)).join(' | ')
  for (const key of ['oneOf', 'anyOf']) if (schema[key]) return schema[key].map(typeOf).join(' | ')
  const kinds = [].concat(schema.type ?? [])
  if (kinds.length === 0) return schema.properties ? object(schema) : 'unknown'
  return kinds.map((kind) => one(kind, schema)).join(' | ')
}

function one(kind, schema) {
  switch (kind) {
    case 'integer':
    case 'number':
      return 'number'
    case 'array': {
      const item = typeOf(schema.items)
      return /[|&]/.test(item) ? `(${item})[]` : `${item}[]`
    }
    case 'object':
      return object(schema)
    default:
      return kind // string, boolean, null
  }
}

function object(schema) {
  if (!schema.properties) {
    return typeof schema.additionalProperties === 'object' ? `Record<string, ${typeOf(schema.additionalProperties)}>` : 'Record<string, unknown>'
  }
  const fields = Object.entries(schema.properties)
    .filter(([name]) => name !== '$schema')
    .map(([name, s]) => `${comment(s)}${quote(name)}${schema.required?.includes(name) ? '' : '?'}: ${typeOf(s)}`)
  return `{ ${fields.join('; ')} }`
}

const comment = (s) => (s.description ? `/** ${s.description.replaceAll('*/', '* /')} */ ` : '')

const out = ['// Made by `npm run api` from the description of the API. Do not edit.', '']
for (const [name, schema] of Object.entries(names).sort(([a], [b]) => (a < b ? -1 : 1))) out.push(`export type ${typeName(name)} = ${typeOf(schema)}`)
out.push('', '/** Every call: its parameters, the body that it takes and what it answers. */', 'export interface Calls {')
for (const [path, methods] of Object.entries(doc.paths).sort(([a], [b]) => (a < b ? -1 : 1))) {
  for (const [method, op] of Object.entries(methods).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const inside = (where) => (op.parameters ?? []).filter((p) => p.in === where)
    const params = (where) => inside(where).map((p) => `${quote(p.name)}${p.required ? '' : '?'}: ${typeOf(p.schema)}`).join('; ')
    const json = (content) => content?.['application/json']?.schema
    const good = Object.entries(op.responses ?? {}).filter(([status]) => status.startsWith('2'))
    const results = [...new Set(good.map(([, r]) => (json(r.content) ? typeOf(json(r.content)) : 'void')))]
    const body = json(op.requestBody?.content)
    out.push(
      `  ${JSON.stringify(method.toUpperCase() + ' ' + path.replace('/api/v1', ''))}: {`,
      `    path: { ${params('path')} }`,
      `    query: { ${params('query')} }`,
      `    body: ${body ? typeOf(body) : 'undefined'}`,
      `    result: ${results.join(' | ') || 'void'}`,
      '  }',
    )
  }
}
out.push('}', '')
writeFileSync(root + 'ui/src/lib/api.types.ts', out.join('\n'))
