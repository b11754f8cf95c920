import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'
import { messages } from './scripts/messages.js'

// The runtime, what pages have in common, and the icons that the shell and the list of workflows show.
const firstScreen =
  /node_modules\/(svelte|clsx|esm-env)\/|@lucide\/svelte\/dist\/(icons\/(layout-grid|library|moon|settings|sun|bell|archive|braces|globe|hand|hourglass|play|refresh-cw|repeat|reply|columns-2|split|octagon-x|webhook|plus|triangle-alert|clock|list-filter|rotate-ccw-clock|concierge-bell|copy|workflow|plug|ellipsis|search|x|chevron-right)\.svelte)|\/src\/(lib\/(i18n|connectors|apps\.svelte|tile|auth\.svelte|api|events\.svelte|format|workflows|router\.svelte|shortcuts\.svelte|resource\.svelte|theme\.svelte|clock\.svelte|words|toasts\.svelte|address)\.ts|components\/(Sparkline|Tile|Menu|Banner|Failure|Chips|SearchField|Button|When|EmptyState|Switch|Skeleton|Tag|Icon)\.svelte)/

// Never the text editors, which are loaded when somebody types.
const shared = /@lucide\/svelte|\/src\/(components|lib)\/(?!nonce)/

const icon = fileURLToPath(new URL('./src/components/Icon.svelte', import.meta.url))
const icons = {
  name: 'bellhop-icons',
  enforce: 'pre' as const,
  resolveId: (source: string, importer?: string) => (source === '../Icon.svelte' && importer?.includes('@lucide/svelte') ? icon : undefined),
}

// File names carry no hash: a change of one page changes one committed file. The server revalidates by ETag.
export default defineConfig({
  plugins: [messages(), icons, svelte()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
    rollupOptions: {
      output: {
        entryFileNames: 'assets/[name].js',
        chunkFileNames: 'assets/[name].js',
        assetFileNames: 'assets/[name][extname]',
        // What the first screen needs is one file, what other pages share is a second: thirty small ones compress badly, and
        // a browser fetches six at a time.
        codeSplitting: { groups: [{ name: 'core', test: firstScreen, priority: 2 }, { name: 'parts', test: shared, minShareCount: 2, priority: 1 }] },
      },
    },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:7788', '/hooks': 'http://127.0.0.1:7788' } },
  test: { include: ['src/**/*.test.ts'] },
})
