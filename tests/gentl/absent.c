/* Functions that must be exported for a consumer to load the library, and that these cameras have no use for. */
#include "producer.h"

#define ABSENT(name) \
    GC_API name(void); \
    GC_API name(void) { return failed(GC_ERR_NOT_IMPLEMENTED, #name); }

ABSENT(DevGetParentIF)
ABSENT(DSGetParentDev)
ABSENT(DSAllocAndAnnounceBuffer)
ABSENT(DSAnnounceCompositeBuffer)
ABSENT(DSGetBufferInfoStacked)
ABSENT(DSGetBufferPartInfo)
ABSENT(DSGetBufferPartInfoStacked)
ABSENT(DSGetBufferSegmentInfo)
ABSENT(DSGetFlowInfo)
ABSENT(DSGetNumBufferParts)
ABSENT(DSGetNumBufferSegments)
ABSENT(DSGetNumFlows)
