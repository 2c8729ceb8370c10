// What a dashboard of Warder's may look like: Grafana's types, with each panel's options and field settings tied to its type.
// dashboard.schema.json is made of it, in a scratch folder outside the repository:
//
//	npm init -y
//	npm install @grafana/grafana-foundation-sdk@0.0.21 ts-json-schema-generator@2.4.0 typescript@5.9
//	cp .../dashboards/testdata/schema/dashboard.ts .
//	echo '{"compilerOptions":{"target":"es2020","module":"node16","moduleResolution":"node16","strict":true,"skipLibCheck":true},
//	  "files":["dashboard.ts"]}' > tsconfig.json
//	npx ts-json-schema-generator --path dashboard.ts --tsconfig tsconfig.json --type Board --expose none --no-type-check -o full.json
//	node .../dashboards/testdata/schema/shrink.mjs < full.json > .../dashboards/testdata/schema/dashboard.schema.json
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as barchart from '@grafana/grafana-foundation-sdk/barchart';
import * as bargauge from '@grafana/grafana-foundation-sdk/bargauge';
import * as piechart from '@grafana/grafana-foundation-sdk/piechart';
import * as heatmap from '@grafana/grafana-foundation-sdk/heatmap';
import * as text from '@grafana/grafana-foundation-sdk/text';
import * as common from '@grafana/grafana-foundation-sdk/common';

interface Config<C> {
  defaults: Omit<dashboard.FieldConfig, 'custom'> & { custom?: C };
  overrides: dashboard.FieldConfigSource['overrides'];
}
interface Target { refId: string; datasource?: common.DataSourceRef; hide?: boolean; queryType?: string; [extra: string]: unknown }
type P<T extends string, O, C> = Omit<dashboard.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> &
  { type: T; options: O; fieldConfig?: Config<C>; targets?: Target[] };
type Panel =
  | P<'stat', stat.Options, {}>
  | P<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | P<'table', table.Options, table.FieldConfig>
  | P<'barchart', barchart.Options, barchart.FieldConfig>
  | P<'bargauge', bargauge.Options, {}>
  | P<'piechart', piechart.Options, piechart.FieldConfig>
  | P<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | P<'text', text.Options, {}>;
type Row = Omit<dashboard.RowPanel, 'type' | 'panels'> & { type: 'row'; panels: Panel[] };
export type Board = Omit<dashboard.Dashboard, 'panels' | 'templating' | 'annotations'> & {
  panels: (Panel | Row)[];
  templating?: dashboard.Dashboard['templating'];
  annotations?: dashboard.Dashboard['annotations'];
};
