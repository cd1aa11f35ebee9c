/* Keypoints of a running rtface, one a line, and a mark: cc -std=c99 example.c -lzmq && ./a.out
 *
 * Without a rig: rtface demo --bridges. Arguments: how many keypoints, then the addresses of points and control. */
#include "rtface.h"

#include <stdlib.h>

int main(int count, char **arguments) {
    long many = count > 1 ? strtol(arguments[1], NULL, 10) : 150;
    rtface client;
    rtface_point point;
    if (rtface_open(&client, count > 2 ? arguments[2] : NULL, count > 3 ? arguments[3] : NULL)) {
        fprintf(stderr, "%s\n", client.error);
        return 1;
    }
    while (many-- > 0) {
        int found = rtface_next(&client, &point, 20000);
        if (found <= 0) {
            fprintf(stderr, "%s\n", found ? client.error : "no keypoint came");
            rtface_close(&client);
            return 1;
        }
        printf("%lld %s %.9g %.9g %.9g %.3f\n", (long long)point.frame_id, point.name, point.x, point.y, point.score, point.age_ms);
    }
    if (rtface_mark(&client, "example", "a \"mark\"\nfrom C")) printf("mark: %s: %s\n", client.code, client.error);
    if (rtface_arm(&client, "example")) printf("arm: %s: %s\n", client.code, client.error);
    rtface_close(&client);
    return 0;
}
