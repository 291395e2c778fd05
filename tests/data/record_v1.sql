-- A record as podium 0.1.0 wrote it at schema version 1, dumped by sqlite3's iterdump();
-- infinity, which that writes as Inf, is 9e999 here.
BEGIN TRANSACTION;
CREATE TABLE blob (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	dtype TEXT NOT NULL, 
	data BLOB NOT NULL, 
	UNIQUE (project_id, hash)
);
INSERT INTO "blob" VALUES(1,'p-old','10d50fb1beb0a1acb0a3b90893987abf81f06e2ddc8a19015f65f7de864a159d','text',X'789CD355C8CF49E1D256C84B2DE7020014910336');
INSERT INTO "blob" VALUES(2,'p-old','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187','<i8',X'00000000000000000100000000000000020000000000000003000000000000000400000000000000050000000000000006000000000000000700000000000000');
INSERT INTO "blob" VALUES(3,'p-old','a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','<f4',X'CDCCCC3DB76D5B3E843AA83E2CBEE23EEAA00E3FBEE22B3F9224493F6666663F');
CREATE TABLE candidate (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	id TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	model_type TEXT NOT NULL, 
	family TEXT NOT NULL, 
	config TEXT NOT NULL, 
	study_id TEXT NOT NULL, 
	trial_id TEXT NOT NULL, 
	artifact_hash TEXT NOT NULL, 
	artifact_path TEXT NOT NULL, 
	dataset_fingerprint TEXT NOT NULL, 
	trained_until TEXT NOT NULL, 
	parent_id TEXT, 
	root_id TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	UNIQUE (project_id, id), 
	UNIQUE (project_id, slot, version), 
	UNIQUE (project_id, slot, artifact_hash)
);
INSERT INTO "candidate" VALUES(1,'p-old','c-a','us4/D/volatility',1,'base','lstm','{}','s-1','t-a','ac8d8342bbb2362d13f0a559a3621bb407011368895164b628a54f7fc33fc43c','a','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','2009-12-31',NULL,'c-a','2026-11-21T07:44:06.729Z');
INSERT INTO "candidate" VALUES(2,'p-old','c-b','us4/D/volatility',2,'base','lstm','{}','s-1','t-b','c100f95c1913f9c72fc1f4ef0847e1e723ffe0bde0b36e5f36c13f81fe8c26ed','b','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','2009-12-31',NULL,'c-b','2026-11-21T07:44:06.736Z');
CREATE TABLE champion (
	project_id TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	candidate_id TEXT NOT NULL, 
	decision_id TEXT NOT NULL, 
	since TEXT NOT NULL, 
	PRIMARY KEY (project_id, slot)
);
INSERT INTO "champion" VALUES('p-old','us4/D/volatility','c-b','d-ez143x6zyv4gj','2026-11-21T07:44:06.742Z');
CREATE TABLE dataset (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	name TEXT NOT NULL, 
	timeframe TEXT NOT NULL, 
	tickers TEXT NOT NULL, 
	bars INTEGER NOT NULL, 
	first_at TEXT NOT NULL, 
	last_at TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	UNIQUE (project_id, fingerprint, name)
);
INSERT INTO "dataset" VALUES(1,'p-old','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','us4','D','["AAPL","IBM"]',100,'2009-01-01','2009-04-10','2026-11-21T07:44:06.712Z');
CREATE TABLE decision (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	candidate_id TEXT NOT NULL, 
	from_stage TEXT, 
	to_stage TEXT NOT NULL, 
	accepted INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	expected_champion TEXT, 
	policy TEXT NOT NULL, 
	policy_hash TEXT NOT NULL, 
	verdicts TEXT NOT NULL, 
	evidence TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	previous_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	UNIQUE (project_id, id), 
	UNIQUE (project_id, previous_hash)
);
INSERT INTO "decision" VALUES(1,'p-old','d-2vw1z064njv3w','register','us4/D/volatility','c-a',NULL,'development',1,'tester','trained by t-a',NULL,'{}','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a','[]','[]','2026-11-21T07:44:06.731Z','5ab7fb3a79625cd5efa374b485fe7820853ba4955551d11751d93a2bc0a2a86f','8e82b6ae6b52a2a0e936357be1a8f2d424456e672f61774ae825dbf7c453ee3b');
INSERT INTO "decision" VALUES(2,'p-old','d-3c3k5c26cmwz7','move','us4/D/volatility','c-a','development','beta',1,'tester','test',NULL,'{}','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a','[]','[]','2026-11-21T07:44:06.735Z','8e82b6ae6b52a2a0e936357be1a8f2d424456e672f61774ae825dbf7c453ee3b','84a2ba65c69479216729aa5afd9c1b84636cbd87ac0a39d1f1f9668fe98d0b9b');
INSERT INTO "decision" VALUES(3,'p-old','d-wkh1tcyswzr8d','register','us4/D/volatility','c-b',NULL,'development',1,'tester','trained by t-b',NULL,'{}','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a','[]','[]','2026-11-21T07:44:06.737Z','84a2ba65c69479216729aa5afd9c1b84636cbd87ac0a39d1f1f9668fe98d0b9b','8cabb0d7033e34eae339f6ce947ecef1ea322cc5f111c62d35d982515294b0fa');
INSERT INTO "decision" VALUES(4,'p-old','d-7tzv2jyhead4p','move','us4/D/volatility','c-b','development','beta',1,'tester','test',NULL,'{}','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a','[]','[]','2026-11-21T07:44:06.738Z','8cabb0d7033e34eae339f6ce947ecef1ea322cc5f111c62d35d982515294b0fa','9337fdaa1a5e2fec4b58b2afdfd13e46089928f130a8f02b3511dfa97cfc161f');
INSERT INTO "decision" VALUES(5,'p-old','d-9nwcxwvcbvxcy','move','us4/D/volatility','c-a','beta','champion',1,'tester','test',NULL,'{}','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a','[]','[]','2026-11-21T07:44:06.739Z','9337fdaa1a5e2fec4b58b2afdfd13e46089928f130a8f02b3511dfa97cfc161f','f69ccf9b2b6a1d0cac1e5ef663b901844739d2f5653e305ae0006007f4123ea8');
INSERT INTO "decision" VALUES(6,'p-old','d-bd66e3d1tp71b','move','us4/D/volatility','c-b','beta','champion',0,'tester','test','c-a','{"beats_naive":{"p_value":0.05}}','c24b0babbfda38511c3fc2df017ae67dacb40af5ec9b214f28a7391fa0551a8d','[{"finding":"no better: p = 0.2","gate":"beats_naive","limits":{"p_value":0.05},"result":"refuse"}]','["e-1","e-2"]','2026-11-21T07:44:06.741Z','f69ccf9b2b6a1d0cac1e5ef663b901844739d2f5653e305ae0006007f4123ea8','8344b7477c0151b7ec6f26240e69d312cf301f93c41d1bfa6d7b6eae4d3bac1e');
INSERT INTO "decision" VALUES(7,'p-old','d-ez143x6zyv4gj','move','us4/D/volatility','c-b','beta','champion',1,'tester','test','c-a','{}','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a','[]','[]','2026-11-21T07:44:06.742Z','8344b7477c0151b7ec6f26240e69d312cf301f93c41d1bfa6d7b6eae4d3bac1e','918e0dc250370a132aba2a5a5aff3bb991dcb0c1d1b7946d8d3f2b5abbc38412');
CREATE TABLE environment (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	git_commit TEXT, 
	git_diff_hash TEXT, 
	packages TEXT NOT NULL, 
	machine TEXT NOT NULL, 
	UNIQUE (project_id, hash)
);
INSERT INTO "environment" VALUES(1,'p-old','90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222','0123456789abcdef0123456789abcdef01234567','10d50fb1beb0a1acb0a3b90893987abf81f06e2ddc8a19015f65f7de864a159d','{"numpy":"2.1.0"}','{"cores":2}');
CREATE TABLE evidence (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	candidate_id TEXT NOT NULL, 
	artifact_hash TEXT NOT NULL, 
	dataset_fingerprint TEXT NOT NULL, 
	split_hash TEXT NOT NULL, 
	producer TEXT NOT NULL, 
	producer_version TEXT NOT NULL, 
	schema INTEGER NOT NULL, 
	scalars TEXT NOT NULL, 
	series TEXT NOT NULL, 
	notes TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	UNIQUE (project_id, id)
);
INSERT INTO "evidence" VALUES(1,'p-old','e-1','test','c-b','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4','test','1',1,'{"calmar":["inf","a year","max"],"loss":[0.2,"mse","min"]}','{"losses":"ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187"}','{"costs":"5 bps"}','2026-11-21T07:44:06.743Z');
CREATE TABLE latest (
	project_id TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	model_type TEXT NOT NULL, 
	candidate_id TEXT NOT NULL, 
	decision_id TEXT NOT NULL, 
	since TEXT NOT NULL, 
	PRIMARY KEY (project_id, slot, model_type)
);
INSERT INTO "latest" VALUES('p-old','us4/D/volatility','base','c-b','d-wkh1tcyswzr8d','2026-11-21T07:44:06.737Z');
CREATE TABLE project (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	UNIQUE (project_id)
);
INSERT INTO "project" VALUES(1,'p-old','an older project','2026-11-21T07:44:06.710Z');
CREATE TABLE receipt (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	step TEXT NOT NULL, 
	inputs_hash TEXT NOT NULL, 
	outputs TEXT NOT NULL, 
	created_at TEXT NOT NULL
);
INSERT INTO "receipt" VALUES(1,'p-old','us4/D/volatility','finalize','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','{"candidate":"c-b"}','2026-11-21T07:44:06.745Z');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	applied_at TEXT NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1,'2026-11-21T07:44:06.709Z');
CREATE TABLE score (
	project_id TEXT NOT NULL, 
	trial_id TEXT NOT NULL, 
	part TEXT NOT NULL, 
	fold INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	metric TEXT NOT NULL, 
	value DOUBLE, 
	PRIMARY KEY (project_id, trial_id, part, fold, epoch, metric)
)
 WITHOUT ROWID

;
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','',0,1,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','',0,2,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','',0,3,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','best',0,0,'mse',0.35);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','train',0,1,'loss',0.25);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','train',0,2,'loss',0.2);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','train',0,3,'loss',0.225);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','val',0,1,'loss',0.5);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','val',0,2,'loss',0.4);
INSERT INTO "score" VALUES('p-old','t-76e7jrd9x55t5','val',0,3,'loss',0.45);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','',0,1,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','',0,2,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','',0,3,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','best',0,0,'mse',0.4);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','train',0,1,'loss',0.25);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','train',0,2,'loss',0.2);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','train',0,3,'loss',0.225);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','val',0,1,'loss',0.5);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','val',0,2,'loss',0.4);
INSERT INTO "score" VALUES('p-old','t-8ebvtvwky1tee','val',0,3,'loss',0.45);
INSERT INTO "score" VALUES('p-old','t-eapn0csrx4y32','',0,1,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-eapn0csrx4y32','',0,2,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-eapn0csrx4y32','best',0,0,'mse',0.1);
INSERT INTO "score" VALUES('p-old','t-eapn0csrx4y32','train',0,1,'loss',0.1);
INSERT INTO "score" VALUES('p-old','t-eapn0csrx4y32','train',0,2,'loss',0.05);
INSERT INTO "score" VALUES('p-old','t-eapn0csrx4y32','val',0,1,'loss',0.2);
INSERT INTO "score" VALUES('p-old','t-eapn0csrx4y32','val',0,2,'loss',0.1);
INSERT INTO "score" VALUES('p-old','t-gfa4khgxjnnd8','best',0,0,'mse',9e999);
INSERT INTO "score" VALUES('p-old','t-mtjp39r87abp8','best',0,0,'mse',0.43);
INSERT INTO "score" VALUES('p-old','t-n3qdsbdwg2n1x','',0,1,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-n3qdsbdwg2n1x','train',0,1,'loss',0.45);
INSERT INTO "score" VALUES('p-old','t-n3qdsbdwg2n1x','val',0,1,'loss',0.9);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','',1,1,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','',1,2,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','',1,3,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','best',1,0,'mse',0.35);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','train',1,1,'loss',0.25);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','train',1,2,'loss',0.2);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','train',1,3,'loss',0.225);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','val',1,1,'loss',0.5);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','val',1,2,'loss',0.4);
INSERT INTO "score" VALUES('p-old','t-pemtvke6fvan7','val',1,3,'loss',0.45);
INSERT INTO "score" VALUES('p-old','t-rjeby887t0dge','best',0,0,'mse',0.41);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','',0,1,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','',0,2,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','',0,3,'lr',0.001);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','best',0,0,'mse',0.3);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','train',0,1,'loss',0.3);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','train',0,2,'loss',NULL);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','train',0,3,'loss',0.15);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','val',0,1,'loss',0.6);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','val',0,2,'loss',NULL);
INSERT INTO "score" VALUES('p-old','t-tr0zzyq92zpf9','val',0,3,'loss',0.3);
CREATE TABLE split (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	name TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	validation_from TEXT NOT NULL, 
	validation_to TEXT NOT NULL, 
	UNIQUE (project_id, hash)
);
INSERT INTO "split" VALUES(1,'p-old','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4','given','{"folds":[{"fold":0,"n_train":5,"n_validation":40,"train":["2009-01-01T00:00:00","2009-01-05T00:00:00"],"validation":["2009-02-20T00:00:00","2009-03-31T00:00:00"]}],"horizon":1,"name":"given","parameters":{}}','2009-02-20T00:00:00','2009-03-31T00:00:00');
CREATE TABLE stage (
	project_id TEXT NOT NULL, 
	candidate_id TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	decision_id TEXT NOT NULL, 
	since TEXT NOT NULL, 
	PRIMARY KEY (project_id, candidate_id)
);
INSERT INTO "stage" VALUES('p-old','c-a','archived','d-ez143x6zyv4gj','2026-11-21T07:44:06.742Z');
INSERT INTO "stage" VALUES('p-old','c-b','champion','d-ez143x6zyv4gj','2026-11-21T07:44:06.742Z');
CREATE TABLE study (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	question TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	UNIQUE (project_id, id), 
	UNIQUE (project_id, "key")
);
INSERT INTO "study" VALUES(1,'p-old','s-qkhg4f4yr621b','f2958e70399fc412a2eaf190f0a11826346abdf34fcb905aacae1b29c351d874','us4/D/volatility','{"question":"q"}','2026-11-21T07:44:06.713Z');
INSERT INTO "study" VALUES(2,'p-old','s-qsczaa9ec1sjq','18ba606bc41b0f53011df1a311c2da118fd9e974925900b30f16ff825adf0752','us4/D/return','{"question":"another"}','2026-11-21T07:44:06.714Z');
CREATE TABLE study_trial (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	study_id TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	trial_id TEXT NOT NULL, 
	UNIQUE (project_id, study_id, phase, number, trial_id)
);
INSERT INTO "study_trial" VALUES(1,'p-old','s-qkhg4f4yr621b','naive',0,'t-rjeby887t0dge');
INSERT INTO "study_trial" VALUES(2,'p-old','s-qkhg4f4yr621b','naive',1,'t-mtjp39r87abp8');
INSERT INTO "study_trial" VALUES(3,'p-old','s-qkhg4f4yr621b','tune',0,'t-8ebvtvwky1tee');
INSERT INTO "study_trial" VALUES(4,'p-old','s-qkhg4f4yr621b','tune',1,'t-tr0zzyq92zpf9');
INSERT INTO "study_trial" VALUES(5,'p-old','s-qkhg4f4yr621b','tune',2,'t-n3qdsbdwg2n1x');
INSERT INTO "study_trial" VALUES(6,'p-old','s-qkhg4f4yr621b','tune',3,'t-gfa4khgxjnnd8');
INSERT INTO "study_trial" VALUES(7,'p-old','s-qkhg4f4yr621b','tune',4,'t-rh5kw2kq8chwk');
INSERT INTO "study_trial" VALUES(8,'p-old','s-qkhg4f4yr621b','tune',5,'t-9ffbyr5s2bwb0');
INSERT INTO "study_trial" VALUES(9,'p-old','s-qsczaa9ec1sjq','tune',0,'t-8ebvtvwky1tee');
INSERT INTO "study_trial" VALUES(10,'p-old','s-qsczaa9ec1sjq','tune',9,'t-8346z6fe6dewx');
INSERT INTO "study_trial" VALUES(11,'p-old','s-qkhg4f4yr621b','extend',0,'t-76e7jrd9x55t5');
INSERT INTO "study_trial" VALUES(12,'p-old','s-qkhg4f4yr621b','extend',1,'t-pemtvke6fvan7');
INSERT INTO "study_trial" VALUES(13,'p-old','s-qkhg4f4yr621b','finalize',0,'t-eapn0csrx4y32');
CREATE TABLE test_look (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	dataset TEXT NOT NULL, 
	interval_from TEXT NOT NULL, 
	interval_to TEXT NOT NULL, 
	candidate_id TEXT NOT NULL, 
	created_at TEXT NOT NULL
);
INSERT INTO "test_look" VALUES(1,'p-old','us4','2010-01-04','2010-12-31','c-b','2026-11-21T07:44:06.744Z');
CREATE TABLE trial (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id TEXT NOT NULL, 
	id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	family TEXT NOT NULL, 
	family_version INTEGER NOT NULL, 
	config TEXT NOT NULL, 
	config_hash TEXT NOT NULL, 
	dataset_fingerprint TEXT NOT NULL, 
	task_hash TEXT NOT NULL, 
	split_hash TEXT NOT NULL, 
	fold INTEGER NOT NULL, 
	seed INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	score DOUBLE, 
	loss_hash TEXT, 
	index_hash TEXT, 
	prediction_hash TEXT, 
	artifact_hash TEXT, 
	environment_hash TEXT NOT NULL, 
	seconds DOUBLE, 
	reason TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	ended_at TEXT, 
	UNIQUE (project_id, id), 
	UNIQUE (project_id, "key")
);
INSERT INTO "trial" VALUES(1,'p-old','t-rjeby887t0dge','ae5607c34c04a5a8e88ecccc6b328b9f17c12a2e30ac3a1e65aa41351a301f1f','naive',1,'{"debias":true,"method":"ewma"}','c9440c8aa9beb75f8fb6352062cd031030aff19082d54bbebc49cba3c60e2a62','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,0,'complete','mse',0.41,'a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187',NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'','2026-11-21T07:44:06.715Z','2026-11-21T07:44:06.716Z');
INSERT INTO "trial" VALUES(2,'p-old','t-mtjp39r87abp8','46d955fefa79772efe21661a3e66bcddc0b05e88e3218704b73a0fcb1432e545','naive',1,'{"debias":false,"method":"last"}','c8819e20e3e6cd2d0f6712d8498ffc725676e77974df383884d458dbef9666c4','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,1,'complete','mse',0.43,'a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187',NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'','2026-11-21T07:44:06.715Z','2026-11-21T07:44:06.718Z');
INSERT INTO "trial" VALUES(3,'p-old','t-8ebvtvwky1tee','67c37918b308447d2fba00fc72d30f501e2c3628573daf98107bf3ee1ca62d4b','lstm',1,'{"dropout":0.0,"lstm_units":4,"max_epochs":3}','7ddf517ca45358aaefd0d10def38d23a50e9fd1de54b841926f8395e2a55faeb','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,0,'complete','mse',0.4,'a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187',NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'','2026-11-21T07:44:06.719Z','2026-11-21T07:44:06.720Z');
INSERT INTO "trial" VALUES(4,'p-old','t-tr0zzyq92zpf9','74e474ee30a547965dc1e6d0cb190fd10fc67f9fe610c7e124dc164c863ffee3','lstm',1,'{"dropout":0.1,"lstm_units":4,"max_epochs":3}','abd418473540750a5d98739488b202e4de239b233d6f4b86b1e9440d454bb855','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,1,'complete','mse',0.3,'a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187',NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'','2026-11-21T07:44:06.719Z','2026-11-21T07:44:06.721Z');
INSERT INTO "trial" VALUES(5,'p-old','t-n3qdsbdwg2n1x','3d81731fe0e7860ad3c17d447e358b8af50c629ebf794c26515245896d0ee0a2','lstm',1,'{"dropout":0.2,"lstm_units":4,"max_epochs":3}','6f63180bf0d091182a51f5f6c408f62e2d1b2f86ab82fb4f24777ecffbf38f35','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,2,'failed','mse',NULL,NULL,NULL,NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'diverged','2026-11-21T07:44:06.719Z','2026-11-21T07:44:06.722Z');
INSERT INTO "trial" VALUES(6,'p-old','t-gfa4khgxjnnd8','9a0dacf9b60f3cc4b5bd51269ce117d46cc9dc0b89f6b084da8ac45ac5e98fe1','lstm',1,'{"dropout":0.3,"lstm_units":4,"max_epochs":3}','ae0d2a114cc1f7dd6136423b39f23bbe149319946fa9f8b7a31be972cd06b246','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,3,'complete','mse',9e999,'a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187',NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'','2026-11-21T07:44:06.719Z','2026-11-21T07:44:06.723Z');
INSERT INTO "trial" VALUES(7,'p-old','t-rh5kw2kq8chwk','70ff0875c2a4ffd5a1894cbed554ae792d83860c2c0d4512765bea170011c350','lstm',1,'{"dropout":0.4,"lstm_units":4,"max_epochs":3}','dfdb21bf58cac45334b42b4bcfbb60202d2aaa28f8b0ef7975b48127c9d7f8f0','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,4,'running','mse',NULL,NULL,NULL,NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',NULL,'','2026-11-21T07:44:06.719Z',NULL);
INSERT INTO "trial" VALUES(8,'p-old','t-9ffbyr5s2bwb0','7b26b545a5356cdfaed84e41bce42ce09bce0b0f08d61f52508904c89eed1d59','lstm',1,'{"dropout":0.5,"lstm_units":4,"max_epochs":3}','e41c14af2e56caf43018da13fd8e5a718f74249e7a45a69242d9ae2a5c93cf31','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,5,'interrupted','mse',NULL,NULL,NULL,NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',NULL,'','2026-11-21T07:44:06.719Z',NULL);
INSERT INTO "trial" VALUES(10,'p-old','t-8346z6fe6dewx','a21543fd0592cc77cc6305c128e3142b5d0d42241be0a0fdc66447f7d2ee793f','bilstm',1,'{"dropout":0.009}','38c09e4c2ed0e5b9e596b2c4c49f5c4748382060bec712f3aaf80e5d92dcd585','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,9,'running','mse',NULL,NULL,NULL,NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',NULL,'','2026-11-21T07:44:06.724Z',NULL);
INSERT INTO "trial" VALUES(11,'p-old','t-76e7jrd9x55t5','4ca3f8a99c673d4403be24dcc45b920a610529704b15b5967e601fe3bc9535d3','lstm',1,'{"dropout":0.1,"lstm_units":4,"max_epochs":3}','abd418473540750a5d98739488b202e4de239b233d6f4b86b1e9440d454bb855','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,50,'complete','mse',0.35,'a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187',NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'','2026-11-21T07:44:06.724Z','2026-11-21T07:44:06.725Z');
INSERT INTO "trial" VALUES(12,'p-old','t-pemtvke6fvan7','fce744cf786ce6ee4f0813dd1ed7a589c15f7dfd100f842b7cd15dc940c98ed0','lstm',1,'{"dropout":0.1,"lstm_units":4,"max_epochs":3}','abd418473540750a5d98739488b202e4de239b233d6f4b86b1e9440d454bb855','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',1,51,'complete','mse',0.35,'a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187',NULL,NULL,'90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'','2026-11-21T07:44:06.724Z','2026-11-21T07:44:06.726Z');
INSERT INTO "trial" VALUES(13,'p-old','t-eapn0csrx4y32','6ac077476057f646371324c7b4059b542759c98829028d1a9f512bac3a482ec0','lstm',1,'{"dropout":0.1,"lstm_units":4,"max_epochs":2}','abd418473540750a5d98739488b202e4de239b233d6f4b86b1e9440d454bb855','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','b6d749376b9f9f0f91633a40ef8c01388cd93b7e5b1b53e656daae00ac3de5f4',0,99,'complete','mse',0.1,'a4c95e8c3cc9ca54388bc6ed1715a7ce9817a405488d0365b12e2c7d56748857','ec6cf1d64158cb5168fd1b58c2f37a7e48fd8e3a2a543333cac4e5e038165187',NULL,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','90997c27b77ab282890263a39a685b6e069ce975b78eac72f42043274c7a1222',1.5,'','2026-11-21T07:44:06.727Z','2026-11-21T07:44:06.728Z');
CREATE INDEX trial_config ON trial (project_id, config_hash);
CREATE INDEX study_trial_by_trial ON study_trial (project_id, trial_id);
CREATE INDEX receipt_by_step ON receipt (project_id, slot, step, inputs_hash);
CREATE INDEX evidence_by_candidate ON evidence (project_id, candidate_id, kind);
CREATE TRIGGER evidence_no_replace BEFORE INSERT ON evidence WHEN EXISTS (SELECT 1 FROM evidence WHERE (seq = NEW.seq) OR (project_id = NEW.project_id AND id = NEW.id)) BEGIN SELECT RAISE(ABORT, 'podium: evidence is append-only'); END;
CREATE TRIGGER evidence_no_update BEFORE UPDATE ON evidence BEGIN SELECT RAISE(ABORT, 'podium: evidence is append-only'); END;
CREATE TRIGGER evidence_no_delete BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'podium: evidence is append-only'); END;
CREATE TRIGGER test_look_no_replace BEFORE INSERT ON test_look WHEN EXISTS (SELECT 1 FROM test_look WHERE (seq = NEW.seq)) BEGIN SELECT RAISE(ABORT, 'podium: test_look is append-only'); END;
CREATE TRIGGER test_look_no_update BEFORE UPDATE ON test_look BEGIN SELECT RAISE(ABORT, 'podium: test_look is append-only'); END;
CREATE TRIGGER test_look_no_delete BEFORE DELETE ON test_look BEGIN SELECT RAISE(ABORT, 'podium: test_look is append-only'); END;
CREATE TRIGGER decision_no_replace BEFORE INSERT ON decision WHEN EXISTS (SELECT 1 FROM decision WHERE (seq = NEW.seq) OR (project_id = NEW.project_id AND previous_hash = NEW.previous_hash) OR (project_id = NEW.project_id AND id = NEW.id)) BEGIN SELECT RAISE(ABORT, 'podium: decision is append-only'); END;
CREATE TRIGGER decision_no_update BEFORE UPDATE ON decision BEGIN SELECT RAISE(ABORT, 'podium: decision is append-only'); END;
CREATE TRIGGER decision_no_delete BEFORE DELETE ON decision BEGIN SELECT RAISE(ABORT, 'podium: decision is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('project',1);
INSERT INTO "sqlite_sequence" VALUES('split',1);
INSERT INTO "sqlite_sequence" VALUES('dataset',1);
INSERT INTO "sqlite_sequence" VALUES('blob',10);
INSERT INTO "sqlite_sequence" VALUES('environment',1);
INSERT INTO "sqlite_sequence" VALUES('study',2);
INSERT INTO "sqlite_sequence" VALUES('trial',13);
INSERT INTO "sqlite_sequence" VALUES('study_trial',13);
INSERT INTO "sqlite_sequence" VALUES('candidate',2);
INSERT INTO "sqlite_sequence" VALUES('decision',7);
INSERT INTO "sqlite_sequence" VALUES('evidence',1);
INSERT INTO "sqlite_sequence" VALUES('test_look',1);
INSERT INTO "sqlite_sequence" VALUES('receipt',1);
COMMIT;
