with source as (

    select * from {{ source('lake', 'chain_sources') }}

),

renamed as (

    select
        -- identity
        underlying,
        provider,
        source_name,
        source_sha256,

        -- counts
        contracts,
        rejected,

        -- what was found
        is_partial,
        findings,
        findings_text,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
