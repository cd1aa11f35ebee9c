% Ten seconds of a running rtface: rtface demo --bridges
client = RtfaceClient();
nose = find(strcmp(client.names, 'nose(tip)'));
until = tic();
while toc(until) < 10
  points = client.next(1);
  if isempty(points)
    fprintf('nothing came for a second\n');
    continue
  end
  fprintf('frame %d: nose(tip) at (%.1f, %.1f), score %.2f, %.1f ms old, %d missing\n', ...
         points.frame_id, points.xy(nose, 1), points.xy(nose, 2), points.score(nose), points.age_ms, points.missing);
end
client.close();
