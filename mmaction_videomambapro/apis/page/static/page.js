'use strict';

// Names of files, classes and models are foreign text: they enter the page only
// through textContent and attributes that are not markup.

const COLOURS = ['#4b5fd6', '#b4562a', '#2f7d5b', '#9a3f86', '#7d6a1c', '#2c7896', '#a23b4e', '#5d6470'];
const LONGEST_RECORDING = 60; // seconds
const $ = (id) => document.getElementById(id);
const player = $('player');

let about = null; // the server's models and limits
let cards = [];
let video = null; // the file, and its key on the server once it is there
let answering = null; // a promise
let turn = 0; // counts what the visitor asks for; results of an earlier turn are dropped
let moment = 0; // seconds, also of videos that the browser cannot play
let camera = null;

class Refused extends Error {} // with a sentence for the visitor

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused('The server of this page does not answer; is it still running?');
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw Object.assign(new Refused(error || 'The server of this page failed.'), { status: response.status });
}

const post = (path, body) =>
  request(path, { method: 'POST', body, headers: { 'Content-Type': 'application/octet-stream' } });

/* The video */

async function send({ file, name }) {
  const response = await post(`videos?name=${encodeURIComponent(name)}`, file);
  return (await response.json()).key;
}

/** Ask about the video, and send it again if the server has removed it meanwhile. */
async function ask(what) {
  const asked = video;
  for (let again = false; ; again = true) {
    const sent = (asked.key ??= send(asked));
    const key = await sent.catch((error) => {
      asked.key = null;
      throw error;
    });
    try {
      return await post(`videos/${key}/${what}`);
    } catch (error) {
      if (again || error.status !== 410) throw error;
      if (asked.key === sent) asked.key = null;
    }
  }
}

/** Have the server remove the video now; it is sent again if it is asked about again. */
function forget() {
  const key = video?.key;
  if (!key) return;
  video.key = null;
  key.then((key) => fetch(`videos/${key}`, { method: 'DELETE', keepalive: true })).catch(() => {});
}

function take(file, name) {
  stopCamera();
  say('');
  if (file.size > about.limit) {
    say(`${name} has ${size(file.size)}; this page takes at most ${size(about.limit)}.`);
    return;
  }
  forget();
  if (video) URL.revokeObjectURL(video.url);
  video = { file, name, key: null, url: URL.createObjectURL(file) };
  play(video.url);
  $('name').textContent = `${name}, ${size(file.size)}`;
  $('name').hidden = false;
  $('modes').hidden = false;
  $('choose').textContent = 'Choose another video';
  answering = answer();
}

function play(url, from = 0) {
  $('invitation').hidden = true;
  $('unplayable').hidden = true;
  player.hidden = false;
  player.controls = true;
  player.muted = false;
  player.srcObject = null;
  player.src = url;
  if (from) player.addEventListener('loadedmetadata', () => (player.currentTime = from), { once: true });
}

/** Say so, and have a copy made that browsers play, if it is a video at all. */
async function unplayable() {
  if (!player.getAttribute('src')) return;
  player.hidden = true;
  $('unplayable').hidden = false;
  const asked = video;
  await answering;
  const wanted = () => asked === video && player.src === asked.url;
  if (!wanted() || asked.copied || !cards.some((card) => card.answer)) return;
  asked.copied = true;
  $('copying').hidden = false;
  try {
    await ask('plain');
    const url = new URL(`videos/${await asked.key}/plain`, location).href;
    if (!wanted()) return;
    asked.url = url;
    play(url, moment);
  } catch {
    // the answers are there all the same
  } finally {
    $('copying').hidden = true;
  }
}

/* The camera */

async function record() {
  if (camera) {
    camera.recorder.stop();
    return;
  }
  say('');
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch (error) {
    say(error.name === 'NotFoundError' ? 'There is no camera.' : 'The camera cannot be used: the browser or another program does not allow it.');
    return;
  }
  turn++;
  forget();
  clear();
  for (const id of ['invitation', 'unplayable', 'name', 'modes']) $(id).hidden = true;
  player.removeAttribute('src');
  player.hidden = false;
  player.controls = false;
  player.muted = true;
  player.srcObject = stream;
  player.play();
  const recorder = new MediaRecorder(stream);
  const chunks = [];
  const start = Date.now();
  const tick = () => {
    const seconds = Math.floor((Date.now() - start) / 1000);
    $('record').textContent = `Stop  ${clock(seconds)}`;
    if (seconds >= LONGEST_RECORDING) recorder.stop();
  };
  camera = { recorder, stream, timer: setInterval(tick, 250) };
  recorder.ondataavailable = (event) => chunks.push(event.data);
  recorder.onstop = () => {
    if (!camera) return;
    const type = recorder.mimeType.split(';')[0];
    take(new Blob(chunks, { type }), `recording.${type.split('/')[1] || 'webm'}`);
  };
  $('record').classList.add('recording');
  tick();
  recorder.start();
}

function stopCamera() {
  if (!camera) return;
  const { recorder, stream, timer } = camera;
  camera = null;
  clearInterval(timer);
  if (recorder.state !== 'inactive') recorder.stop();
  stream.getTracks().forEach((track) => track.stop());
  $('record').classList.remove('recording');
  $('record').textContent = 'Record with the camera';
}

/* The answers */

const overTime = () => document.querySelector('[name=mode]:checked').value === 'time';

function clear() {
  $('timelines').hidden = true;
  for (const card of cards) {
    card.answer = null;
    hideReason(card);
    card.reason = null;
    card.show('why').disabled = false;
    card.show('bars').replaceChildren();
    card.show('segments').hidden = true;
    card.show('buttons').hidden = true;
    card.show('annotate').hidden = false;
    card.show('annotate').disabled = false;
    card.show('annotate').textContent = 'Make the annotated video';
    card.show('download').hidden = true;
    state(card, 'Answers will appear here.');
  }
}

function state(card, text, kind = '') {
  card.show('state').textContent = text;
  card.show('state').className = `state ${kind}`;
}

async function answer() {
  const mine = ++turn;
  const query = overTime() ? '?over_time' : '';
  if (player.src !== video.url) play(video.url); // an earlier annotation
  moment = player.currentTime || 0;
  clear();
  cards.forEach((card) => state(card, 'Looking at it …', 'busy'));
  for (const [i, card] of cards.entries()) {
    try {
      const response = await ask(`answers/${i}${query}`);
      const found = await response.json();
      if (mine !== turn) return;
      if (found.error) throw new Refused(found.error);
      card.answer = found;
      state(card, '');
      card.show('buttons').hidden = false;
      if (found.segments) showTimelines();
      showMoment();
    } catch (error) {
      if (mine !== turn) return;
      state(card, error.message, 'error');
    }
  }
}

/** Bars of a moment, of its window if there are windows. */
function showMoment() {
  for (const card of cards.filter((c) => c.answer)) {
    const { windows, segments } = card.answer;
    const time = moment + 0.01; // players round the moment that they are sent to
    const at = (x) => x.start <= time && time < x.end;
    const distance = (x) => Math.abs((x.start + x.end) / 2 - time);
    const seen = (windows ?? []).filter((x) => x.labels?.length);
    showBars(card, seen.reduce((a, b) => (distance(b) > distance(a) ? a : b), seen[0]) ?? card.answer);
    const now = segments?.findIndex(at) ?? -1;
    [...card.show('segments').children].forEach((item, i) => item.firstChild.classList.toggle('now', i === now));
  }
  for (const head of document.querySelectorAll('.playhead')) {
    head.style.setProperty('--from', `${(100 * Math.min(moment, duration())) / duration()}%`);
  }
}

function showBars(card, { labels, scores }) {
  const shares = scores.every((x) => x >= 0 && x <= 1);
  const [top, low] = [Math.max(...scores), Math.min(...scores, 0)];
  const bars = card.show('bars');
  while (bars.children.length > labels.length) bars.lastChild.remove();
  while (bars.children.length < labels.length) bars.append(copy('bar'));
  labels.forEach((label, i) => {
    const bar = bars.children[i];
    const share = shares ? scores[i] : (scores[i] - low) / (top - low || 1);
    bar.querySelector('.label').textContent = label;
    bar.querySelector('.score').textContent = shares ? `${(100 * scores[i]).toFixed(1)} %` : scores[i].toFixed(2);
    bar.querySelector('.track i').style.setProperty('--share', `${100 * share}%`);
  });
}

/* What happens when */

const timed = () => cards.filter((card) => card.answer?.segments);

function duration() {
  const ends = timed().flatMap((card) => [...card.answer.segments, ...(card.answer.windows ?? [])].map((x) => x.end));
  return Math.max(...ends, 0.001);
}

function showTimelines() {
  const total = duration();
  const colours = new Map();
  for (const { label } of timed().flatMap((card) => card.answer.segments)) {
    if (!colours.has(label)) colours.set(label, COLOURS[colours.size % COLOURS.length]);
  }
  $('timelines').hidden = false;
  $('timelines').replaceChildren(...timed().map((card) => {
    const timeline = copy('timeline');
    timeline.querySelector('h2').textContent = card.name;
    const strip = timeline.querySelector('.strip');
    strip.addEventListener('click', (event) => {
      if (event.target === strip) go((event.offsetX / strip.clientWidth) * total);
    });
    strip.append(...card.answer.segments.map((segment) => {
      const part = button(segment, colours);
      part.textContent = segment.label;
      part.title = `${clock(segment.start)} to ${clock(segment.end)}: ${segment.label}`;
      part.style.setProperty('--from', `${(100 * segment.start) / total}%`);
      part.style.setProperty('--share', `${(100 * (segment.end - segment.start)) / total}%`);
      return part;
    }));
    timeline.querySelector('.axis').append(...[0, 0.25, 0.5, 0.75, 1].map((part) => text('span', clock(part * total))));
    return timeline;
  }));
  for (const card of timed()) {
    card.show('segments').hidden = false;
    card.show('segments').replaceChildren(...card.answer.segments.map((segment) => {
      const item = document.createElement('li');
      const part = button(segment, colours);
      part.append(document.createElement('i'), text('time', clock(segment.start)), text('span', segment.label), text('span', `${Math.round(100 * segment.score)} %`, 'score'));
      item.append(part);
      return item;
    }));
  }
}

function button(segment, colours) {
  const part = document.createElement('button');
  part.type = 'button';
  part.style.setProperty('--colour', colours.get(segment.label));
  part.addEventListener('click', () => go(segment.start));
  return part;
}

function go(seconds) {
  moment = seconds;
  if (player.readyState) player.currentTime = seconds;
  showMoment();
}

/* The annotated video */

async function annotate(card, i) {
  const mine = turn;
  const make = card.show('annotate');
  make.disabled = true;
  make.textContent = 'Making the annotated video …';
  try {
    await ask(`annotated/${i}`);
    if (mine !== turn) return;
    const url = `videos/${await video.key}/annotated/${i}?${Date.now()}`;
    play(url, moment);
    make.hidden = true;
    const link = card.show('download');
    link.hidden = false;
    link.href = url;
    link.download = `${video.name.replace(/\.\w+$/, '')}-annotated.mp4`;
  } catch (error) {
    if (mine !== turn) return;
    state(card, error.message, 'error');
    make.disabled = false;
    make.textContent = 'Make the annotated video';
  }
}

/* Why */

async function switchReason(card, i) {
  if (card.reason?.isConnected) {
    hideReason(card);
    return;
  }
  const mine = turn;
  const { labels, classes } = card.answer;
  card.show('why').disabled = true;
  try {
    if (!card.reason) {
      card.show('why').textContent = 'Looking for reasons …';
      await ask(`why/${i}?class=${classes[0]}`);
      const key = await video.key;
      if (mine !== turn) return;
      card.reason = copy('reason');
      card.reason.querySelector('figcaption').textContent = `${card.name}: one clip, as the model saw it`;
      const picture = card.reason.querySelector('img');
      picture.alt = `What in the frames speaks for “${labels[0]}”, and what against it`;
      picture.src = `videos/${key}/why/${i}?${Date.now()}`;
    }
    $('reasons').append(...cards.filter((x) => x.reason?.isConnected || x === card).map((x) => x.reason));
    $('reasons').hidden = false;
    card.show('why').textContent = 'Hide why';
  } catch (error) {
    if (mine !== turn) return;
    state(card, error.message, 'error');
    card.show('why').textContent = 'See why';
  } finally {
    if (mine === turn) card.show('why').disabled = false;
  }
}

function hideReason(card) {
  card.reason?.remove();
  $('reasons').hidden = !$('reasons').children.length;
  card.show('why').textContent = 'See why';
}

/* Small helpers */

const copy = (template) => $(template).content.firstElementChild.cloneNode(true);
const size = (bytes) =>
  bytes < 1e5 ? `${Math.ceil(bytes / 1e3)} kB` : `${Number((bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0))} MB`;

function text(tag, content, kind = '') {
  const element = document.createElement(tag);
  element.textContent = content;
  element.className = kind;
  return element;
}

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = String(Math.floor((tenths % 600) / 10)).padStart(2, '0') + (tenths % 10 ? `.${tenths % 10}` : '');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

function say(sentence) {
  $('message').textContent = sentence;
  $('message').hidden = !sentence;
}

async function start() {
  try {
    about = await (await request('about')).json();
  } catch (error) {
    say(error.message);
    return;
  }
  const who = about.models.length > 1 ? `what ${about.models.length} models answer` : 'what the model answers';
  $('introduction').textContent = `Drop in a video, or record one, and see ${who}. Videos are deleted after ${about.minutes} minutes.`;
  $('limit').textContent = `up to ${size(about.limit)}`;
  cards = about.models.map((name, i) => {
    const element = copy('card');
    element.querySelector('h2').textContent = name;
    $('answers').append(element);
    const card = { name, answer: null, reason: null, show: (part) => element.querySelector(`.${part}`) };
    card.show('annotate').addEventListener('click', () => annotate(card, i));
    card.show('why').addEventListener('click', () => switchReason(card, i));
    return card;
  });
  clear();
  if (!navigator.mediaDevices || !window.MediaRecorder) $('record').hidden = true; // only on this machine, or with https

  const choose = () => $('file').click();
  $('choose').addEventListener('click', choose);
  $('invitation').parentElement.addEventListener('click', () => { if (!$('invitation').hidden) choose(); });
  $('record').addEventListener('click', record);
  $('file').addEventListener('change', () => {
    const [file] = $('file').files;
    if (file) take(file, file.name);
    $('file').value = '';
  });
  for (const kind of ['dragover', 'dragleave', 'drop']) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      $('stage').classList.toggle('over', kind === 'dragover');
      const file = event.dataTransfer?.files?.[0];
      if (kind === 'drop' && file) take(file, file.name);
    });
  }
  document.querySelectorAll('[name=mode]').forEach((mode) => mode.addEventListener('change', () => (answering = answer())));
  player.addEventListener('error', unplayable);
  for (const kind of ['timeupdate', 'seeking']) {
    player.addEventListener(kind, () => {
      moment = player.currentTime;
      showMoment();
    });
  }
  window.addEventListener('pagehide', forget);
}

start();
