import './tokens.css'
import './base.css'
import { mount } from 'svelte'
import App from './App.svelte'
import { language, loadMessages } from './lib/i18n'
import { routeOf } from './routes'

// A new build of the server may have removed the part that this page wants to load: load the page anew, once.
addEventListener('vite:preloadError', (e) => {
  const name = 'bellhop.reloaded'
  if (sessionStorage.getItem(name)) return
  sessionStorage.setItem(name, '1')
  e.preventDefault()
  location.reload()
})

const root = document.documentElement
root.lang = language.startsWith('pseudo') ? 'en' : language
root.dir = language === 'pseudo-rtl' ? 'rtl' : 'ltr'
void routeOf(location.pathname)?.route.load().catch(() => {}) // the page comes beside its texts; what fails is told when it is shown
await loadMessages('core')
mount(App, { target: document.getElementById('app')! })
