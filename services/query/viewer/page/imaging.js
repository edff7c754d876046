// Windows, and the order in which frames are fetched. Pure.

import { TAG, number } from "./dicom.js";

export const PRESETS = [
  { name: "Soft tissue", center: 40, width: 400 },
  { name: "Lung", center: -600, width: 1500 },
  { name: "Bone", center: 480, width: 2500 },
  { name: "Brain", center: 40, width: 80 },
];

// The window of an object: its first one, else all that its bits hold (PS3.3 C.11.2.1.2).
export function windowOf(object) {
  const [center, width] = [number(object, TAG.WindowCenter), number(object, TAG.WindowWidth)];
  if (center !== undefined && width > 0) return { center, width };
  const all = 2 ** (number(object, TAG.BitsStored) ?? 8);
  const slope = number(object, TAG.RescaleSlope) ?? 1;
  return { center: (all / 2) * slope + (number(object, TAG.RescaleIntercept) ?? 0), width: all * Math.abs(slope) };
}

// A window after a drag by so many pixels: to the right widens, downwards darkens.
export function dragged(window, x, y) {
  const step = Math.max(window.width / 300, 0.01);
  return { center: rounded(window.center + y * step), width: Math.max(rounded(window.width + x * step), 1) };
}

function rounded(value) {
  return Math.abs(value) >= 20 ? Math.round(value) : Math.round(value * 100) / 100;
}

// All frames of a series: {path, instance, frame, rows, columns}, in the order of its instances.
export function frames(base, instances) {
  return instances.flatMap((instance) => {
    const uid = instance[TAG.SOPInstanceUID].Value[0];
    const [rows, columns] = [number(instance, TAG.Rows), number(instance, TAG.Columns)];
    if (!rows || !columns) return [];
    const path = `${base}/instances/${uid}`;
    const many = number(instance, TAG.NumberOfFrames) || 1;
    const of = (frame) => ({ instance: path, frame, rows, columns, path: many > 1 ? `${path}/frames/${frame}` : path });
    return Array.from({ length: many }, (_, at) => of(at + 1));
  });
}

// The URL of a picture no larger than `edge` pixels.
export function pictureUrl(frame, window, edge = 1024) {
  const asked = [];
  if (window) asked.push(`window=${window.center},${window.width},linear`);
  if (Math.max(frame.rows, frame.columns) > edge) asked.push(`viewport=${edge},${edge}`);
  return `${frame.path}/rendered${asked.length ? `?${asked.join("&")}` : ""}`;
}

// The places to fetch around one, nearest first, those ahead before those behind.
export function around(at, count, most) {
  const found = [];
  for (let step = 1; found.length < most && step < count; step += 1) {
    if (at + step < count) found.push(at + step);
    if (at - step >= 0) found.push(at - step);
  }
  return found.slice(0, most);
}
